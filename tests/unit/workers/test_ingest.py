"""A chunk goes through the works and ends, or is let go of so that another worker can have it."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import IngestStage, Metric, OnExisting, Space
from pixvec.errors import DatabaseUnavailable
from pixvec.jobs.blobs import MemoryBlobStore
from pixvec.jobs.queue import MemoryChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.pusher import MemoryPusher
from pixvec.vision.preprocess import Preprocess
from workers.batcher import Batcher
from workers.decode_pool import InlineDecoder
from workers.ingest import IngestRunner

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


class Means:
    name, dim, digest = "means", 3, "0" * 64
    preprocess = Preprocess(8, 8)

    def embed(self, pixels):
        return pixels.mean(axis=(1, 2)).astype(np.float32) + 1


class OneModel:
    def get(self, name, digest=""):
        return Means()


class Leases:
    """Notes which leases are being kept; loses one when it has been asked about `lost_after` times."""

    def __init__(self):
        self.held = set()
        self.lost_after = math.inf

    def hold(self, chunk):
        self.held.add(chunk.ref)

    def holds(self, chunk):
        self.lost_after -= 1
        return chunk.ref in self.held and self.lost_after >= 0

    def drop(self, chunk):
        self.held.discard(chunk.ref)


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 10), (shade, 60, 90)).save(out, "PNG")
    return out.getvalue()


class Works:
    def __init__(self, batcher):
        self.catalogue, self.blobs, self.pusher, self.leases = in_memory(), MemoryBlobStore(), MemoryPusher(), Leases()
        self.queue = MemoryChunkQueue()
        collection = self.catalogue.collections.create("photos", [SPACE], 1)
        self.job_id = self.catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE).job_id
        self.runner = IngestRunner(
            self.catalogue, self.blobs, UriSources((), 10**6), self.queue, self.pusher, OneModel(),
            InlineDecoder(), batcher, self.leases, owner="me", lease_s=60, batch_images=2,
        )  # fmt: skip

    def add(self, **contents: bytes) -> ChunkRef:
        items = [NewItem(self.next_ordinal() + n, name, {}, self.blobs.put(content), len(content))
                 for n, (name, content) in enumerate(contents.items())]  # fmt: skip
        return ChunkRef(self.job_id, self.catalogue.jobs.add_items(self.job_id, items).chunk)

    def next_ordinal(self) -> int:
        return self.catalogue.jobs.planned(self.job_id)[1] + 1

    def statuses(self):
        return {status.image_id: status for status in self.catalogue.jobs.statuses(self.job_id)}


@pytest.fixture
def works():
    batcher = Batcher(batch_images=2)
    batcher.start()
    yield Works(batcher)
    batcher.close()


def test_pictures_are_indexed_and_pushed_and_a_bad_one_fails_alone(works):
    works.runner.run(works.add(a=picture(1), b=b"no picture at all", c=picture(3)))
    found = works.statuses()
    assert {name for name, status in found.items() if status.error is None} == {"a", "c"}
    assert found["b"].error.reason == "PICTURE_NOT_RECOGNISED"
    assert found["b"].error.message.startswith("b: ")
    assert [entry.image_id for batch in works.pusher.pushed for entry in batch.entries] == ["a", "c"]
    assert works.leases.held == set()


def test_one_message_is_enough_for_every_chunk_of_a_job(works):
    first = works.add(a=picture(1))
    works.add(b=picture(2))
    works.runner.run(first)
    assert all(status.ended for status in works.statuses().values())


def test_a_chunk_passes_every_stage(works, monkeypatch):
    stages = []
    monkeypatch.setattr(works.catalogue.jobs, "set_stage", lambda ref, owner, stage: stages.append(stage))
    works.runner.run(works.add(a=picture(1)))
    assert stages == [IngestStage.DECODED, IngestStage.EMBEDDED]


@pytest.mark.parametrize("call", ["commit", "lease_next"])
def test_an_outage_lets_go_of_every_lease(works, monkeypatch, call):
    def down(*_):
        raise DatabaseUnavailable("gone")

    ref = works.add(a=picture(1))
    store = works.catalogue.feed_writer if call == "commit" else works.catalogue.jobs
    with monkeypatch.context() as outage:
        outage.setattr(store, call, down)
        with pytest.raises(DatabaseUnavailable):
            works.runner.run(ref)
    assert works.leases.held == set()


def test_a_drain_that_has_lasted_hands_on_a_chunk_that_is_open(works, monkeypatch):
    monkeypatch.setattr("workers.ingest.DRAIN_S", 0)
    first, second = works.add(a=picture(1)), works.add(b=picture(2))
    works.runner.run(first)
    handed_on = works.queue.take_chunk()
    assert handed_on == second
    works.runner.run(handed_on)
    assert all(status.ended for status in works.statuses().values())


@pytest.mark.parametrize("attempt", [1, 2], ids=["together", "one by one"])
def test_a_lost_lease_ends_the_work_on_its_chunk(works, attempt):
    ref = works.add(**{name: picture(shade) for shade, name in enumerate("abcde")})
    for _ in range(attempt - 1):
        works.catalogue.jobs.lease_chunk(ref, "killed", 0)
    works.leases.lost_after = 3
    works.runner.run(ref)
    assert [name for name, status in works.statuses().items() if status.ended] == ["a", "b", "c"]
    assert works.catalogue.jobs.renew(ref, "me", 0)
    works.leases.lost_after = math.inf
    works.runner.run(ref)
    assert all(status.ended for status in works.statuses().values())
    assert sum(len(batch.entries) for batch in works.pusher.pushed) == 5
