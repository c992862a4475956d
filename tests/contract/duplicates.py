"""What the suites of duplicates share: pictures that look alike, and short ways to take them in."""

from collections.abc import Sequence
from dataclasses import replace

from pixvec.catalogue.feed import FeedBatch
from pixvec.catalogue.interfaces import ItemStatus, LeasedChunk, LeasedItem, NewItem
from pixvec.domain import Collection, Image, OnDuplicate
from tests.contract.catalogues import Bench, embedded, item

# Hashes of pictures by their content: the copies of one differ in a few bits.
LOOKS = {"lake": 0xF0F0_1234_8765_0F0F, "lake again": 0xF0F0_1234_8765_0F0F ^ (1 << 63 | 1 << 40 | 1 << 3)}
LOOKS["shore"] = LOOKS["lake"] ^ (1 << 63 | 1 << 40 | 1 << 20 | 1 << 3)
LINK, REJECT, KEEP = OnDuplicate.LINK, OnDuplicate.REJECT, OnDuplicate.KEEP


def picture(image_id: str, content: str = "lake", ordinal: int = 0) -> NewItem:
    return item(ordinal, image_id, content=content)


def commit(bench: Bench, leased: LeasedChunk, items: Sequence[LeasedItem] | None = None) -> list[FeedBatch]:
    done = [
        replace(embedded(each), perceptual_hash=LOOKS.get(each.content_hash))
        for each in (leased.items if items is None else items)
    ]
    return list(bench.catalogue.feed_writer.commit(leased, done, []).batches)


def take_in(bench: Bench, photos: Collection, policy: OnDuplicate, *items: NewItem) -> list[ItemStatus]:
    """Take items in from beginning to end, in a job of their own. Return how they ended."""
    job_id = bench.job(photos, on_duplicate=policy)
    added = bench.catalogue.jobs.add_items(job_id, items)
    if added.chunk is not None:
        leased = bench.catalogue.jobs.lease_next(job_id, "worker", 60.0)
        assert leased is not None
        commit(bench, leased)
    return bench.catalogue.jobs.statuses(job_id)


def image(bench: Bench, photos: Collection, image_id: str) -> Image:
    return bench.catalogue.images.get(photos.collection_id, image_id)


def found(bench: Bench, photos: Collection) -> list[str]:
    """Return the ids that a follower of the feed would find, by id."""
    pages = [bench.catalogue.feed_reader.read(photos.collection_id, shard, 0, 100) for shard in range(2)]
    return sorted(entry.image_id for page in pages for entry in page.entries if not entry.deleted)


def originals(bench: Bench, photos: Collection, *image_ids: str) -> list[str]:
    return [image(bench, photos, each).duplicate_of for each in image_ids]


def work_left(bench: Bench) -> list[LeasedChunk]:
    """Lease what the last hour left undone."""
    bench.expire_leases()
    refs = bench.catalogue.jobs.unattended(60.0, 10)
    return [leased for ref in refs if (leased := bench.catalogue.jobs.lease_chunk(ref, "later", 60.0)) is not None]
