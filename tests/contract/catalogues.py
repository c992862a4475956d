"""What the catalogue's suites share: one catalogue of each kind, and short ways to say what they are about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pixvec.catalogue.feed import FeedBatch
from pixvec.catalogue.interfaces import Catalogue, ChunkRef, EmbeddedItem, FailedItem, LeasedChunk, LeasedItem, NewItem
from pixvec.domain import (
    Attributes,
    Box,
    Collection,
    ItemError,
    Mask,
    Metric,
    OnDuplicate,
    OnExisting,
    Region,
    RegionSettings,
    Space,
)

SPACE = Space("image", "hog-color", 4, Metric.COSINE, "ab" * 32)
REGION_SPACE = Space("region", "blobs", 4, Metric.COSINE, "cd" * 32, regions=RegionSettings("blobs"))
BROKEN = ItemError("PICTURE_TRUNCATED", "cut short", retryable=False)


@dataclass(frozen=True)
class Bench:
    """A catalogue and what a test does with it. `expire_leases` makes an hour pass without waiting,
    and every lease run out."""

    catalogue: Catalogue
    expire_leases: Callable[[], None]

    def collection(self, name: str = "photos", shards: int = 1, spaces: Sequence[Space] = (SPACE,)) -> Collection:
        return self.catalogue.collections.create(name, spaces, shards)

    def job(
        self,
        collection: Collection,
        on_existing: OnExisting = OnExisting.REPLACE,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> str:
        return self.catalogue.jobs.create(collection.collection_id, on_existing, on_duplicate=on_duplicate).job_id

    def add(self, job_id: str, *items: NewItem) -> ChunkRef:
        added = self.catalogue.jobs.add_items(job_id, items)
        assert added.chunk is not None
        return ChunkRef(job_id, added.chunk)

    def lease(self, ref: ChunkRef, owner: str = "worker") -> LeasedChunk:
        leased = self.catalogue.jobs.lease_chunk(ref, owner, 60.0)
        assert leased is not None
        return leased

    def index(self, collection: Collection, *items: NewItem) -> list[FeedBatch]:
        """Take items in from beginning to end, in a job of their own."""
        leased = self.lease(self.add(self.job(collection), *items))
        return self.commit(leased, leased.items)

    def commit(
        self, leased: LeasedChunk, items: Sequence[LeasedItem], failed: Sequence[LeasedItem] = ()
    ) -> list[FeedBatch]:
        broken = [FailedItem(item, BROKEN) for item in failed]
        return list(self.catalogue.feed_writer.commit(leased, [embedded(item) for item in items], broken).batches)


def item(ordinal: int, image_id: str = "", attributes: Attributes | None = None, content: str = "") -> NewItem:
    name = image_id or f"image-{ordinal}"
    return NewItem(ordinal, name, attributes or {}, content_hash=content or f"hash of {name}", size_bytes=100)


def embedded(leased: LeasedItem, regions: Sequence[Region] = ()) -> EmbeddedItem:
    record = f"{leased.image_id}@{leased.ordinal}".encode()
    return EmbeddedItem(leased, record, leased.content_hash, 100, "JPEG", 40, 30, tuple(regions))


def region(ordinal: int, mask: Mask | None = None) -> Region:
    return Region(ordinal, Box(1.5 + ordinal, 2.0, 30.25, 20.0), f"class {ordinal}", 0.5, mask)
