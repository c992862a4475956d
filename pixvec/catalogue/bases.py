"""Base snapshots: shards in the blob store, from which a feed goes on. What `interfaces` says of every store holds of
this one. Which of them is good for what is decided here, by pure functions that every catalogue shares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixvec.domain import BaseSnapshot, ShardPosition
from pixvec.errors import FailedPrecondition, SnapshotNotFound


@dataclass(frozen=True, slots=True)
class FeedStanding:
    """How the feed of one shard stands. `passed_seq`: where the local snapshot of every searcher that is to hold it
    has come to, 0 while there is none. `is_gone`: its collection was deleted."""

    epoch: str
    head_seq: int
    tombstone_floor: int
    truncated_seq: int
    passed_seq: int = 0
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class OpenBase:
    """A base snapshot that is being made. Files of `known` need not be stored again."""

    base_id: str
    collection_id: int
    shard: int
    epoch: str
    known: tuple[BaseSnapshot, ...]


@dataclass(frozen=True, slots=True)
class BaseContent:
    """What was stored, read back and found right. `manifest` names the file that lists all others."""

    seq: int
    manifest: str
    manifest_sha256: str
    image_count: int
    size_bytes: int


class BaseStore(Protocol):
    """The base snapshots that there are. A row comes before the first byte in the blob store and goes after the last:
    nothing is removed there that no row tells of."""

    def begin(self, collection_id: int, shard: int, epoch: str) -> OpenBase:
        """Announce a base snapshot. Until it is finished or abandoned no tombstone is pruned that it may miss, and no
        base of the shard is retired. Raises CollectionNotFound, and FailedPrecondition when the feed is of another
        epoch."""

    def finish(self, base_id: str, content: BaseContent) -> BaseSnapshot:
        """Say that every byte is stored and verified: from now on the feed can go on from it. Raises FailedPrecondition
        when the base was given up, or the feed renewed, in the meantime."""

    def abandon(self, base_id: str, why: str) -> None:
        """Give up a base that is not finished; one that is stays as it is."""

    def of_collection(self, collection_id: int | None = None) -> list[BaseSnapshot]:
        """Return the verified bases of one collection or of all, those in retirement left out, the newest first."""

    def of_shard(self, collection_id: int, shard: int) -> list[BaseSnapshot]:
        """Return every base whose files may be there, whatever its state."""

    def note_damage(self, base_id: str, damage: str) -> None:
        """Say what is wrong with the files of a base; nothing, for one that was found right."""

    def truncatable(self) -> list[BaseSnapshot]:
        """Return for each shard the newest sound base that lies above what is truncated and that every searcher which
        holds the shard has passed with a snapshot of its own."""

    def truncate(self, base_id: str) -> bool:
        """Let the feed of the base's shard begin at it, if it still is such a one: nobody can read rows at or below its
        seq from now on. Return whether it was."""

    def retire(self, keep: int, open_s: float) -> int:
        """Retire all but the newest `keep` sound bases of each shard, those of deleted collections, and those that were
        begun `open_s` seconds ago or earlier and not finished. While one is being made, none of its shard is retired,
        and what a truncated feed needs never is. Return how many were."""

    def retired(self, age_s: float) -> list[BaseSnapshot]:
        """Return those that were retired `age_s` seconds ago or earlier: their files can go."""

    def remove(self, base_id: str) -> None:
        """Forget a retired base whose files are gone."""

    def restore(self, collection_id: int, bases: Mapping[int, str]) -> list[ShardPosition]:
        """Renew the epochs of all shards: every searcher lets go of what it holds. A shard named in `bases` goes on
        from that base and what the feed holds above it, any other one from the feed alone.

        Raises CollectionNotFound, SnapshotNotFound, and FailedPrecondition when a feed was truncated and no base is
        named, or when deletions since the base are gone from the feed."""


def can_go_on_from(base: BaseSnapshot, feed: FeedStanding) -> bool:
    """Whether the base and the rows above it are all there is: nothing that the feed has forgotten is missed."""
    return (
        base.verified_at is not None
        and base.retired_at is None
        and base.epoch == feed.epoch
        and feed.tombstone_floor <= base.seq
        and not feed.is_gone
    )


def offered(bases: Sequence[BaseSnapshot], feed: FeedStanding) -> tuple[BaseSnapshot, ...]:
    """Return what a follower may begin with, the best first. One that was once found damaged is the last resort: it may
    have been the wire."""
    usable = [base for base in bases if can_go_on_from(base, feed)]
    return tuple(sorted(usable, key=lambda base: (base.is_sound, base.seq, base.created_at), reverse=True))


def lets_truncate(base: BaseSnapshot, feed: FeedStanding) -> bool:
    """Whether the feed may begin at this base: no searcher that holds the shard would have to begin anew."""
    return base.is_sound and can_go_on_from(base, feed) and feed.truncated_seq < base.seq <= feed.passed_seq


def prunable_seq(bases: Sequence[BaseSnapshot], feed: FeedStanding) -> int:
    """Return up to where tombstones can go: where every local snapshot and every base has passed them, those being
    made included, whose `seq` is the least that they may turn out to be of."""
    waiting = (base.seq for base in bases if base.retired_at is None and base.epoch == feed.epoch)
    return min([feed.passed_seq, *waiting])


def retirable(bases: Sequence[BaseSnapshot], feed: FeedStanding, keep: int) -> list[str]:
    """Return which bases of one shard to retire: see BaseStore."""
    current = [base for base in bases if base.retired_at is None]
    if any(base.verified_at is None for base in current):
        return []
    sound = [base for base in offered(current, feed) if base.is_sound]
    if feed.truncated_seq and not sound and not feed.is_gone:
        return []
    kept = {base.base_id for base in sound[:keep]}
    if len(sound) < keep and not feed.is_gone:
        kept |= {base.base_id for base in current if base.damage}
    return [base.base_id for base in current if base.base_id not in kept]


def refuse_begin(feed: FeedStanding, epoch: str) -> None:
    """Raises FailedPrecondition when whoever wants to make a base follows another life of the feed."""
    if feed.epoch != epoch:
        raise FailedPrecondition(
            f"the feed is at epoch {feed.epoch} and the searcher at {epoch}: it starts over; try again once it has"
        )


def refuse_finish(base: BaseSnapshot | None, feed: FeedStanding | None, content: BaseContent) -> None:
    """Raises FailedPrecondition when the base was given up, or would not be good to go on from."""
    if base is None or feed is None or base.verified_at is not None or base.retired_at is not None:
        raise FailedPrecondition("the snapshot took too long and was given up; create it again")
    if feed.is_gone or feed.epoch != base.epoch or content.seq < feed.tombstone_floor:
        raise FailedPrecondition("the shard's feed was renewed while its snapshot was stored; create it again")


def refuse_restore(
    feed: FeedStanding, base: BaseSnapshot | None, collection_id: int, shard: int, asked: str | None
) -> None:
    """Raises SnapshotNotFound and FailedPrecondition: see BaseStore.restore. `asked`: the id of the base, if any."""
    if asked is None:
        if feed.truncated_seq:
            raise FailedPrecondition(
                f"the feed of shard {shard} was truncated at {feed.truncated_seq}: name a snapshot to go on from"
            )
        return
    if base is None or (base.collection_id, base.shard) != (collection_id, shard) or base.verified_at is None:
        raise SnapshotNotFound(f"shard {shard} has no verified snapshot {asked!r}: see the list", field="snapshot_ids")
    if base.seq < feed.tombstone_floor:
        raise FailedPrecondition(
            f"the snapshot of shard {shard} is of seq {base.seq}, and deletions up to {feed.tombstone_floor} are gone"
            " from the feed: deleted images would come back; choose a newer snapshot",
            field="snapshot_ids",
        )
