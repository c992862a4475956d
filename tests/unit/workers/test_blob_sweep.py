"""Bytes are freed when nothing has referred to them for long enough, and never before."""

import pytest

from pixvec.blobs.attic import PARTS
from pixvec.blobs.store import MemoryBlobStore, path_of
from pixvec.catalogue.interfaces import ChunkRef, EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import Metric, OnExisting, Space
from pixvec.errors import ContentNotFound, DatabaseUnavailable
from workers.blob_sweep import BlobSweep

GRACE_S = 1000.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


class Side:
    """A catalogue and a blob store, with a sweep that goes round the store as often as it is told to."""

    def __init__(self):
        self.clock = Clock()
        self.catalogue = in_memory(self.clock)
        self.blobs = MemoryBlobStore(self.clock)
        space = Space("image", "means", 3, Metric.COSINE, "0" * 64)
        self.photos = self.catalogue.collections.create("photos", [space], 1)
        self.sweeper = BlobSweep(self.blobs, self.catalogue.images, grace_s=GRACE_S, clock=self.clock)

    def go_round(self) -> int:
        """Go once round the store, which takes a quarter of the grace."""
        freed = 0
        for _ in range(PARTS):
            self.clock.now += GRACE_S / 4 / PARTS
            freed += self.sweeper.sweep() + self.sweeper.sweep() + self.sweeper.sweep()
        return freed

    def upload(self, content: bytes) -> NewItem:
        return NewItem(0, content.decode(), {}, self.blobs.put(content), len(content))

    def record(self, item: NewItem) -> ChunkRef:
        job_id = self.catalogue.jobs.create(self.photos.collection_id, OnExisting.REPLACE).job_id
        return ChunkRef(job_id, self.catalogue.jobs.add_items(job_id, [item]).chunk)

    def index(self, ref: ChunkRef) -> None:
        chunk = self.catalogue.jobs.lease_chunk(ref, "worker", 60)
        embedded = [EmbeddedItem(item, b"", item.content_hash, 1, "JPEG", 4, 3) for item in chunk.items]
        self.catalogue.feed_writer.commit(chunk, embedded, [])


def test_what_images_show_and_items_wait_for_is_never_touched():
    side = Side()
    shown, waiting = side.upload(b"shown"), side.upload(b"waiting")
    side.index(side.record(shown))
    side.record(waiting)
    for _ in range(12):
        assert side.go_round() == 0
    assert side.blobs.names("aside") == []
    assert [side.blobs.get(each.content_hash) for each in (shown, waiting)] == [b"shown", b"waiting"]


def test_what_nothing_refers_to_is_freed_once_the_grace_is_over():
    side = Side()
    deleted, kept = side.upload(b"deleted"), side.upload(b"kept")
    for each in (deleted, kept):
        side.index(side.record(each))
    side.catalogue.feed_writer.delete(side.photos.collection_id, ["deleted"])
    for _ in range(4):
        assert side.go_round() == 0
        assert side.blobs.get(deleted.content_hash) == b"deleted"
    assert side.go_round() + side.go_round() == 1
    with pytest.raises(ContentNotFound):
        side.blobs.get(deleted.content_hash)
    assert side.blobs.get(kept.content_hash) == b"kept"


def test_an_upload_that_was_set_aside_before_it_was_recorded_is_taken_back():
    side = Side()
    item = side.upload(b"slow")
    for _ in range(4):
        side.go_round()
    assert side.blobs.names("aside") != []
    ref = side.record(item)
    for _ in range(12):
        assert side.go_round() == 0
    assert side.blobs.names("aside") == []
    side.index(ref)
    assert side.blobs.get(item.content_hash) == b"slow"


def test_bytes_that_are_sent_again_while_they_are_aside_are_there_for_good():
    side = Side()
    side.upload(b"again")
    side.go_round()
    item = side.upload(b"again")
    side.record(item)
    for _ in range(12):
        side.go_round()
    assert side.blobs.get(item.content_hash) == b"again"
    assert side.blobs.names("aside") == []


def test_without_the_database_nothing_is_done_and_later_all_is(monkeypatch):
    def down(*_):
        raise DatabaseUnavailable("down")

    side = Side()
    item = side.upload(b"unused")
    with monkeypatch.context() as outage:
        outage.setattr(side.catalogue.images, "contents_in_use", down)
        side.clock.now += GRACE_S
        with pytest.raises(DatabaseUnavailable):
            side.go_round()
    assert side.blobs.names("aside") == []
    assert sum(side.go_round() for _ in range(7)) == 1
    with pytest.raises(ContentNotFound):
        side.blobs.get(item.content_hash)


def test_a_full_part_is_gone_through_in_steps(monkeypatch):
    side, looked_up = Side(), []
    used = side.catalogue.images.contents_in_use
    monkeypatch.setattr(
        side.catalogue.images, "contents_in_use", lambda some: looked_up.append(len(some)) or used(some)
    )
    for number in range(1200):
        side.blobs.put_named(path_of(f"00{number:062x}"), b"x")
    sweeper = BlobSweep(side.blobs, side.catalogue.images, grace_s=GRACE_S, clock=side.clock, first_part=0)
    for step in range(1, 10):
        sweeper.sweep()
        assert len(looked_up) <= step
    assert looked_up == [500, 500, 200]
    assert len(side.blobs.names("aside")) == 1200
