"""Places in the change feeds of shards: what writes return, reads wait for and snapshots stand at."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

# A collection's id and the number of one of its shards.
ShardKey: TypeAlias = tuple[int, int]


class Consistency(StrEnum):
    """What an answer has to have seen."""

    EVENTUAL = "eventual"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """A place in the ordered change feed of one shard."""

    shard: int
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class SeqToken:
    """What a write returns and a read can wait for: at most one position a shard."""

    positions: tuple[ShardPosition, ...] = ()

    def merged(self, other: "SeqToken") -> "SeqToken":
        """Return the token that covers both; where epochs differ, the other's wins, as it is the newer."""
        newest = {position.shard: position for position in self.positions}
        for position in other.positions:
            known = newest.get(position.shard)
            if known is None or known.epoch != position.epoch or known.seq < position.seq:
                newest[position.shard] = position
        return SeqToken(tuple(newest[shard] for shard in sorted(newest)))


@dataclass(frozen=True, slots=True)
class BaseSnapshot:
    """A shard as it stood at `seq`, kept in the blob store. `manifest` names the file that lists all of it.

    `epoch` is the life of the feed that goes on from it, `made_in` the one it was written in: a restore makes them
    differ. Not `verified_at`: not finished. `retired_at`: its files go in a while. `damage`: why it is not relied on.
    """

    base_id: str
    collection_id: int
    shard: int
    epoch: str
    made_in: str
    seq: int
    created_at: dt.datetime
    manifest: str = ""
    manifest_sha256: str = ""
    image_count: int = 0
    size_bytes: int = 0
    verified_at: dt.datetime | None = None
    retired_at: dt.datetime | None = None
    damage: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether every byte was read back and found right, the last time somebody looked."""
        return self.verified_at is not None and not self.damage
