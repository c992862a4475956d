"""Searchers, and which of them holds what. What `interfaces` says of every store holds of this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pixvec.domain import Collection


@dataclass(frozen=True, slots=True)
class Replica:
    """A searcher that holds, or is about to hold, a shard."""

    searcher_id: str
    address: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Routing:
    """Which searchers hold which shard; `version` changes whenever any of it does."""

    version: int
    replicas: Mapping[tuple[int, int], tuple[Replica, ...]]

    @property
    def addresses(self) -> set[str]:
        """Where searchers are that hold anything."""
        return {replica.address for replicas in self.replicas.values() for replica in replicas}


@dataclass(frozen=True, slots=True)
class Assignment:
    """A shard a searcher has to hold, and where its feed stands. A follower below `tombstone_floor` starts at 0."""

    collection: Collection
    shard: int
    epoch: str
    head_seq: int
    tombstone_floor: int


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What a searcher says of a shard it holds."""

    collection_id: int
    shard: int
    ready: bool
    snapshot_seq: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A searcher that holds, or is about to hold, a shard, and how far its own disk has come."""

    searcher_id: str
    ready: bool
    snapshot_seq: int


@dataclass(frozen=True, slots=True)
class ShardStanding:
    """A shard as the catalogue knows it: where its feed begins and ends, and who holds it."""

    collection_id: int
    collection: str
    shard: int
    epoch: str
    head_seq: int
    truncated_seq: int
    image_count: int
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True)
class KnownSearcher:
    """A searcher that lives, or that is still to hold something."""

    searcher_id: str
    address: str
    is_live: bool


class TopologyStore(Protocol):
    """Searchers, and which of them holds what."""

    def heartbeat(self, searcher_id: str, address: str, reports: Sequence[ShardReport], *, lease_s: float) -> None:
        """Register a searcher or renew its lease, and note how its shards stand."""

    def assignments(self, searcher_id: str) -> list[Assignment]:
        """Return the shards this searcher has to hold now, with their heads: one cheap query, polled."""

    def routing(self) -> Routing:
        """Return who holds what now, leaving out searchers past their lease."""

    def rebalance(self, replicas: int, *, grace_s: float = 0.0) -> bool:
        """Place every shard on `replicas` live searchers by rendezvous hashing, moving nothing that need not move. A
        searcher whose lease ran out less than `grace_s` seconds ago keeps what it holds: it may come back. Only one
        caller at a time does it. Return whether anything changed."""

    def shards(self, collection_id: int | None = None) -> list[ShardStanding]:
        """Return how the shards of one collection or of all stand, by collection name and shard."""

    def searchers(self) -> list[KnownSearcher]:
        """Return the searchers that live or are to hold something, by id."""
