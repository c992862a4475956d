"""One Ingest stream: items are read, stored in chunks, and followed to the stage the caller waits for.

Three things go on at once. The reader takes items off the stream while fewer than `max_open` are open, which makes
HTTP/2 hold the caller back. The packer makes a chunk of what has arrived whenever one of `chunks_at_once` places is
free. The caller's side sends statuses; an item counts as open until its last status is sent. Bytes are stored
concurrently, chunks are recorded in the order of arrival, so that the later one of two items with the same id wins.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.catalogue.interfaces import ChunkProgress, ChunkRef, ItemStatus, NewItem
from pixvec.domain import IngestStage
from pixvec.errors import InvalidRequest, PixvecError
from pixvec.jobs.queue import ITEMS_PER_CHUNK
from pixvec.telemetry.metrics import INGEST_BYTES, INGEST_ITEMS
from services.gateway.arrivals import Arrival, refused, to_arrival
from services.gateway.intake import Intake
from services.gateway.publisher import ChunkPublisher
from services.gateway.stream_ledger import StreamLedger
from services.gateway.watcher import OutcomeWatcher


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What one stream may hold. `gather_s`: how long to wait for a fuller chunk while the worker has enough to do."""

    max_picture_bytes: int = 32 * 2**20
    max_open: int = 1024
    max_unstored_bytes: int = 48 * 2**20
    chunk_items: int = ITEMS_PER_CHUNK
    chunk_bytes: int = 16 * 2**20
    chunks_at_once: int = 2
    gather_s: float = 0.005
    busy_chunks: int = 2


class IngestStream:
    """Runs until the request side is closed and every item is closed, or the caller goes away: the job goes on then."""

    def __init__(
        self,
        collection: str,
        job_id: str,
        wait: IngestStage,
        intake: Intake,
        publisher: ChunkPublisher,
        watcher: OutcomeWatcher,
        limits: StreamLimits,
    ) -> None:
        self._collection = collection
        self._job_id = job_id
        self._intake = intake
        self._publisher = publisher
        self._watcher = watcher
        self._limits = limits
        self._ledger = StreamLedger(wait)
        self._arrived: deque[Arrival] = deque()
        self._unstored_bytes = 0
        self._reading = True
        self._packing = True
        self._error: BaseException | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._statuses: deque[ItemStatus] = deque()
        self._changed = asyncio.Condition()
        self._report = asyncio.Event()

    @property
    def job_id(self) -> str:
        """The job that takes the items in."""
        return self._job_id

    @property
    def open_chunks(self) -> Collection[int]:
        """The chunks to follow now."""
        return self._ledger.open_chunks

    async def run(
        self, requests: AsyncIterator[pb.IngestRequest], *, resumed: bool
    ) -> AsyncGenerator[list[ItemStatus], None]:
        """Yield statuses as they come. Raises what ends the stream."""
        self._watcher.follow(self)
        try:
            if resumed:
                await self._adopt_earlier_work()
            self._begin(self._read(requests))
            self._begin(self._pack())
            async with aclosing(self._drain()) as reports:
                async for statuses in reports:
                    yield statuses
        finally:
            self._watcher.unfollow(self)
            for task in self._work:
                task.cancel()
            await asyncio.gather(*self._work, return_exceptions=True)

    def progressed(self, progress: Sequence[ChunkProgress]) -> list[int]:
        """See WatchedStream."""
        implied, to_read = self._ledger.progressed(progress)
        self._tell(implied)
        return to_read

    def settled(self, chunks: Collection[int], statuses: Sequence[ItemStatus]) -> None:
        """See WatchedStream."""
        news, whole = self._ledger.settled(chunks, statuses)
        self._tell(news)
        if not whole:
            self._begin(self._adopt_earlier_work())

    def fail(self, error: BaseException) -> None:
        """End the stream with this error; what was accepted goes on."""
        self._error = self._error or error
        self._report.set()

    async def _read(self, requests: AsyncIterator[pb.IngestRequest]) -> None:
        async for request in requests:
            if request.WhichOneof("request") != "item":
                raise InvalidRequest("after the first message, every message has to be an item", field="item")
            async with self._changed:
                await self._changed.wait_for(self._has_room)
                self._take_in(request.item)
                self._changed.notify_all()
        async with self._changed:
            self._reading = False
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return (
            self._ledger.open_count < self._limits.max_open and self._unstored_bytes < self._limits.max_unstored_bytes
        )

    def _take_in(self, item: pb.IngestItem) -> None:
        self._ledger.arrived(item.ordinal)
        try:
            arrival = to_arrival(item, self._limits.max_picture_bytes)
        except PixvecError as error:
            self._refuse([refused(item.ordinal, item.image_id, error)])
            return
        self._arrived.append(arrival)
        self._unstored_bytes += len(arrival.content)

    async def _pack(self) -> None:
        places = asyncio.Semaphore(self._limits.chunks_at_once)
        recorded = asyncio.Event()
        recorded.set()
        async with asyncio.TaskGroup() as chunks:
            while True:
                await places.acquire()
                arrivals = await self._next_chunk()
                if not arrivals:
                    break
                before, recorded = recorded, asyncio.Event()
                chunks.create_task(self._store(arrivals, places, before, recorded))
        await self._intake.close(self._job_id)
        self._packing = False

    async def _next_chunk(self) -> list[Arrival]:
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._arrived) or not self._reading)
            if len(self._ledger.open_chunks) >= self._limits.busy_chunks:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.gather_s):
                        await self._changed.wait_for(self._fills_a_chunk)
        arrivals: list[Arrival] = []
        ordinals: set[int] = set()
        images: set[str] = set()
        held = 0
        while self._arrived and len(arrivals) < self._limits.chunk_items and held < self._limits.chunk_bytes:
            arrival = self._arrived[0]
            repeated = arrival.ordinal in ordinals
            # Of one id twice in a chunk only one would count: the other has to be there should that one fail.
            if arrival.image_id in images and not repeated:
                break
            self._arrived.popleft()
            if repeated:
                self._unstored_bytes -= len(arrival.content)
                continue
            held += len(arrival.content)
            ordinals.add(arrival.ordinal)
            images.add(arrival.image_id)
            arrivals.append(arrival)
        return arrivals

    def _fills_a_chunk(self) -> bool:
        full = len(self._arrived) >= self._limits.chunk_items or self._unstored_bytes >= self._limits.chunk_bytes
        return full or not self._reading or not self._has_room()

    async def _store(
        self, arrivals: list[Arrival], places: asyncio.Semaphore, before: asyncio.Event, recorded: asyncio.Event
    ) -> None:
        items, failed = await self._intake.store(arrivals)
        self._refuse(failed)
        held = sum(len(arrival.content) for arrival in arrivals)
        arrivals.clear()
        await before.wait()
        if items:
            await self._record(items)
        recorded.set()
        places.release()
        async with self._changed:
            self._unstored_bytes -= held
            self._changed.notify_all()

    async def _record(self, items: Sequence[NewItem]) -> None:
        added = await self._intake.record(self._job_id, items)
        self._count("accepted", len(items))
        INGEST_BYTES.labels(self._collection).inc(sum(item.size_bytes for item in items))
        followed = self._ledger.added(added.chunk, added.statuses)
        self._tell(added.statuses)
        if added.chunk is not None:
            self._publisher.publish(ChunkRef(self._job_id, added.chunk))
        if not followed:
            await self._adopt_earlier_work()
        self._watcher.wake()

    async def _adopt_earlier_work(self) -> None:
        # The chunks first: one that ends between the two reads is told of by the second.
        progress, statuses = await self._intake.earlier_work(self._job_id)
        self._ledger.adopt(progress, statuses)
        self._tell(statuses)
        self._watcher.wake()

    def _refuse(self, statuses: Sequence[ItemStatus]) -> None:
        if statuses:
            self._count("refused", len(statuses))
            self._tell(statuses)

    def _count(self, outcome: str, items: int) -> None:
        INGEST_ITEMS.labels(self._collection, outcome).inc(items)

    def _tell(self, statuses: Sequence[ItemStatus]) -> None:
        self._statuses.extend(statuses)
        self._report.set()

    async def _drain(self) -> AsyncGenerator[list[ItemStatus], None]:
        while True:
            await self._report.wait()
            self._report.clear()
            while self._statuses:
                statuses = [self._statuses.popleft() for _ in range(min(len(self._statuses), 1000))]
                yield statuses
                await self._sent(statuses)
            if self._error is not None:
                raise self._error
            if not self._packing and not self._work and self._ledger.all_closed and not self._statuses:
                return

    async def _sent(self, statuses: Sequence[ItemStatus]) -> None:
        async with self._changed:
            self._ledger.sent(statuses)
            self._changed.notify_all()

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work_ended)

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.fail(error)
        self._report.set()
