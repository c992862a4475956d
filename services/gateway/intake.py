"""Makes arrivals durable: bytes to the blob store, rows to the catalogue, and only then a message to the queue."""

import time
from collections.abc import Sequence

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.interfaces import AddedItems, ChunkProgress, ItemStatus, JobStore, NewItem
from pixvec.errors import Overloaded, PixvecError, Unavailable
from pixvec.jobs.sources import UriSources
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.arrivals import Arrival, refused
from services.gateway.outages import through_outage

_COUNT_EVERY_S = 1.0


class Intake:
    """What all Ingest streams share. Refuses items while more than `max_open_items` of all jobs are open."""

    def __init__(
        self,
        jobs: JobStore,
        blobs: BlobStore,
        sources: UriSources,
        sql: BlockingCalls,
        files: BlockingCalls,
        *,
        max_open_items: int,
        outage_s: float = 30.0,
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._sources = sources
        self._sql = sql
        self._files = files
        self._max_open_items = max_open_items
        self._outage_s = outage_s
        self._open_items = 0
        self._counted_at = float("-inf")

    async def store(self, arrivals: Sequence[Arrival]) -> tuple[list[NewItem], list[ItemStatus]]:
        """Store the bytes of all, durably, and check their URIs. Return what can be recorded, and what was refused."""
        if overload := await self._overload():
            return [], [refused(each.ordinal, each.image_id, overload) for each in arrivals]
        outcomes = await through_outage(lambda: self._files.run(self._store_all, arrivals), self._outage_s)
        items = [outcome for outcome in outcomes if isinstance(outcome, NewItem)]
        return items, [outcome for outcome in outcomes if isinstance(outcome, ItemStatus)]

    async def record(self, job_id: str, items: Sequence[NewItem]) -> AddedItems:
        """Record items as one chunk. Running it twice records them once. Raises JobNotFound, FailedPrecondition."""
        return await through_outage(lambda: self._sql.run(self._jobs.add_items, job_id, items), self._outage_s)

    async def earlier_work(self, job_id: str) -> tuple[list[ChunkProgress], list[ItemStatus]]:
        """Return the open chunks of a job, then all its items: a chunk that ends in between is told of by its items."""
        progress = await through_outage(lambda: self._sql.run(self._jobs.open_chunks, job_id), self._outage_s)
        return progress, await through_outage(lambda: self._sql.run(self._jobs.statuses, job_id), self._outage_s)

    async def close(self, job_id: str) -> None:
        """Say that no more items come."""
        await through_outage(lambda: self._sql.run(self._jobs.close, job_id), self._outage_s)

    def _store_all(self, arrivals: Sequence[Arrival]) -> list[NewItem | ItemStatus]:
        # One by one: writing many at once takes twice the CPU, which the model needs, and two chunks overlap anyway.
        return [self._check_uri(each) if each.uri else each.stored(self._blobs.put(each.content)) for each in arrivals]

    def _check_uri(self, arrival: Arrival) -> NewItem | ItemStatus:
        try:
            self._sources.check(arrival.uri)
        except Unavailable:
            raise
        except PixvecError as error:
            return refused(arrival.ordinal, arrival.image_id, error)
        return arrival.stored("")

    async def _overload(self) -> Overloaded | None:
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_EVERY_S:
            self._counted_at = now
            self._open_items = await through_outage(lambda: self._sql.run(self._jobs.count_open_items), self._outage_s)
        if self._open_items <= self._max_open_items:
            return None
        return Overloaded(
            f"{self._open_items:,} items await work, {self._max_open_items:,} are allowed; send it again later",
            retry_after_s=1.0,
        )
