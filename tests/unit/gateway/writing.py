"""A gateway's write side over twins in memory, with a worker that is run by hand."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.interfaces import ChunkRef, EmbeddedItem, FailedItem
from pixvec.catalogue.memory import in_memory
from pixvec.domain import IngestStage, ItemError, Metric, Space
from pixvec.jobs.sources import UriSources
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.memory_embedder import MemoryEmbedder
from pixvec.rpc.pusher import MemoryPusher
from services.gateway.closing import Closing
from services.gateway.contents import Contents
from services.gateway.deletions import Deletions
from services.gateway.directory import Directory
from services.gateway.image_service import ImageService
from services.gateway.ingest_stream import StreamLimits
from services.gateway.ingests import Ingests
from services.gateway.intake import Intake
from services.gateway.publisher import ChunkPublisher
from services.gateway.watcher import OutcomeWatcher


class FakeContext:
    """A call without a deadline."""

    def time_remaining(self):
        return None


class FakeQueue:
    """Remembers messages; `error` is raised instead."""

    def __init__(self):
        self.chunks: list[ChunkRef] = []
        self.plans: list[str] = []
        self.trainings: list[str] = []
        self.error = None

    def publish(self, refs):
        if self.error:
            raise self.error
        self.chunks += refs

    def publish_plan(self, job_id):
        if self.error:
            raise self.error
        self.plans.append(job_id)

    def publish_training(self, job_id):
        if self.error:
            raise self.error
        self.trainings.append(job_id)

    def depth(self):
        return len(self.chunks)


class WriteSide:
    """A gateway's image service with a collection `photos`."""

    def __init__(self, roots=(), outage_s=30.0, max_open_items=1000, max_streams=100, clock=time.time, **limits):
        self.catalogue = in_memory(clock)
        space = Space("image", "fake", 8, Metric.COSINE, "ab" * 32)
        self.collection = self.catalogue.collections.create("photos", [space], 2)
        self.jobs = self.catalogue.jobs
        self.blobs = MemoryBlobStore()
        self.queue = FakeQueue()
        self.pusher = MemoryPusher()
        self.embedder = MemoryEmbedder()
        self.closing = Closing()
        self.sql, files, broker, pushes = (BlockingCalls(name, 4) for name in ("database", "files", "broker", "pushes"))
        self.directory = Directory(self.catalogue, self.sql)
        self.sources = UriSources(roots, 1000)
        self.publisher = ChunkPublisher(self.queue, self.jobs, broker, self.sql)
        self.watcher = OutcomeWatcher(self.jobs, self.sql, outage_s=outage_s)
        self.intake = Intake(
            self.jobs, self.blobs, self.sources, self.sql, files, max_open_items=max_open_items, outage_s=outage_s
        )
        ingests = Ingests(
            self.directory,
            self.jobs,
            self.intake,
            self.publisher,
            self.watcher,
            self.sql,
            self.closing,
            StreamLimits(**limits),
            max_streams=max_streams,
        )
        images = self.catalogue.images
        self.service = ImageService(
            ingests,
            Deletions(self.directory, self.catalogue.feed_writer, self.pusher, self.publisher, self.sql, pushes),
            Contents(self.directory, images, self.blobs, self.embedder, self.sql, files),
            self.directory,
            images,
            self.sql,
        )

    @asynccontextmanager
    async def running(self):
        """Run the background tasks."""
        tasks = [asyncio.ensure_future(self.publisher.run()), asyncio.ensure_future(self.watcher.run())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def work(self, fail=(), until=IngestStage.INDEXED, regions=()):
        """Do all the work there is, as a worker would; images or ordinals in `fail` become failures, the others get as
        far as `until`, each with `regions`."""
        for ref in self.jobs.unattended(-1, 1000):
            chunk = self.jobs.lease_chunk(ref, "worker", 60)
            if chunk is None:
                continue
            bad = [item for item in chunk.items if item.image_id in fail or item.ordinal in fail]
            good = [item for item in chunk.items if item not in bad]
            embedded = [EmbeddedItem(item, b"record", item.content_hash, 1, "JPEG", 4, 3, regions) for item in good]
            failed = [FailedItem(item, ItemError("PICTURE_TRUNCATED", f"{item.image_id}: cut")) for item in bad]
            if until is IngestStage.INDEXED:
                self.catalogue.feed_writer.commit(chunk, embedded, failed)
            else:
                self.catalogue.feed_writer.commit(chunk, [], failed)
                self.jobs.set_stage(ref, "worker", until)


class IngestCall:
    """One Ingest stream as a caller sees it."""

    def __init__(self, side, **opening):
        self._requests: asyncio.Queue[pb.IngestRequest | None] = asyncio.Queue()
        self._responses = side.service.Ingest(self._read(), FakeContext())
        self.statuses: list[pb.IngestItemStatus] = []
        self.job_id = ""
        self.taken = 0
        self._requests.put_nowait(pb.IngestRequest(open=pb.IngestOpen(**{"collection": "photos"} | opening)))

    async def _read(self):
        while (request := await self._requests.get()) is not None:
            self.taken += 1
            yield request

    def send(self, *items):
        for ordinal, image_id, content in items:
            self.send_item(ordinal=ordinal, image_id=image_id, content=content)

    def send_item(self, **fields):
        self._requests.put_nowait(pb.IngestRequest(item=pb.IngestItem(**fields)))

    def send_raw(self, request):
        self._requests.put_nowait(request)

    def close(self):
        self._requests.put_nowait(None)

    async def leave(self):
        """Go away, as a caller whose connection broke."""
        await self._responses.aclose()

    async def next(self):
        """Take in the next message; False at the end."""
        try:
            response = await anext(self._responses)
        except StopAsyncIteration:
            return False
        if response.WhichOneof("response") == "opened":
            self.job_id = response.opened.job_id
        self.statuses += response.statuses.statuses
        return True

    async def until(self, condition):
        while not condition(self):
            assert await self.next(), "the stream ended early"

    async def to_the_end(self):
        while await self.next():
            pass

    def at(self, stage):
        return sorted({each.ordinal for each in self.statuses if each.stage == stage and not each.HasField("error")})

    @property
    def failures(self):
        return {each.ordinal: each.error for each in self.statuses if each.HasField("error")}


def pictures(*ordinals):
    return [(ordinal, f"p/{ordinal}", b"picture %d" % ordinal) for ordinal in ordinals]


async def queued(call, *ordinals):
    await call.until(lambda call: set(ordinals) <= set(call.at(pb.INGEST_STAGE_QUEUED)))
