"""The works of a worker, over twins in memory."""

import io
import math

import numpy as np
from PIL import Image

from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import Metric, OnExisting, Space
from pixvec.jobs.queue import MemoryChunkQueue
from pixvec.jobs.sources import UriSources
from pixvec.rpc.pusher import MemoryPusher
from pixvec.vision.preprocess import Preprocess
from tests.unit.workers.blobs import Blobs, blob_regions
from workers.decode_pool import InlineDecoder
from workers.ingest import IngestRunner
from workers.region_models import RegionModels

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


class Means:
    name, dim, digest = "means", 3, "0" * 64
    preprocess = Preprocess(8, 8)

    def embed(self, pixels):
        return pixels.mean(axis=(1, 2)).astype(np.float32) + 1


class OneModel:
    """Has blobs beside it. `trouble` is raised instead."""

    trouble = None
    regions = RegionModels(lambda name: Blobs(), lambda name: Means(), blob_regions)

    def get(self, name, digest=""):
        if self.trouble:
            raise self.trouble
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
    """An ingest runner over twins in memory, on a clock that a test moves."""

    def __init__(self, batcher, spaces=(SPACE,)):
        self.now = 1_000.0
        self.catalogue = in_memory(lambda: self.now)
        self.blobs, self.pusher, self.leases = MemoryBlobStore(), MemoryPusher(), Leases()
        self.queue, self.host, self.decoder = MemoryChunkQueue(), OneModel(), InlineDecoder()
        collection = self.catalogue.collections.create("photos", spaces, 1)
        self.collection = collection
        self.job_id = self.catalogue.jobs.create(collection.collection_id, OnExisting.REPLACE).job_id
        self.runner = IngestRunner(
            self.catalogue, self.blobs, UriSources((), 10**6), self.queue, self.pusher, self.host,
            self.decoder, batcher, self.leases, owner="me", lease_s=60, batch_images=2,
        )  # fmt: skip

    def add(self, **contents: bytes) -> ChunkRef:
        items = [NewItem(self.next_ordinal() + n, name, {}, self.blobs.put(content), len(content))
                 for n, (name, content) in enumerate(contents.items())]  # fmt: skip
        return ChunkRef(self.job_id, self.catalogue.jobs.add_items(self.job_id, items).chunk)

    def next_ordinal(self) -> int:
        return self.catalogue.jobs.planned(self.job_id)[1] + 1

    def statuses(self):
        return {status.image_id: status for status in self.catalogue.jobs.statuses(self.job_id)}

    def open_items(self) -> set[str]:
        return {name for name, status in self.statuses().items() if not status.ended}
