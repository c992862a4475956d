"""The change feed of a shard, as it is written, pushed and read. What `interfaces` says of every store holds of this
one.
"""

from dataclasses import dataclass
from typing import Protocol

from pixvec.domain import BaseSnapshot


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One row of the change feed: an image as it is now, or its tombstone. `record` is empty when deleted."""

    seq: int
    image_id: str
    deleted: bool
    record: bytes


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """Rows one transaction wrote to one shard, for pushing to its replicas. The last row's seq is the new head."""

    collection_id: int
    shard: int
    epoch: str
    prev_seq: int
    entries: tuple[FeedEntry, ...]


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Rows read from one shard's feed: a follower that applies them stands at `through_seq`. One that stood above 0 and
    below `tombstone_floor` has missed tombstones: it has to drop what it holds and start at 0.

    Rows at or below `truncated_seq` are gone: a follower that stands below it gets none, and has to begin with one of
    `bases`, the best first. One that stands at 0 may begin with them in any case.
    """

    epoch: str
    through_seq: int
    head_seq: int
    entries: tuple[FeedEntry, ...]
    tombstone_floor: int = 0
    truncated_seq: int = 0
    bases: tuple[BaseSnapshot, ...] = ()


class FeedReader(Protocol):
    """The ordered change feed, as followers read it."""

    def read(self, collection_id: int, shard: int, after_seq: int, limit: int) -> FeedPage:
        """Return up to `limit` rows above `after_seq`, by seq; from 0, live rows only. Below the place where the feed
        was truncated, return none, and the bases to begin with. Raises CollectionNotFound."""

    def prune_tombstones(self, limit: int) -> int:
        """Remove tombstones that the snapshot of every replica and every base has passed, raising the shard's floor."""

    def prune_truncated(self, limit: int) -> int:
        """Remove up to `limit` rows at or below the place where their feed was truncated. Return how many."""
