"""Tells the queue of new chunks, beside the streams: a message that is lost is sent again by the sweeper."""

import asyncio

from pixvec.catalogue.interfaces import ChunkRef, JobStore
from pixvec.errors import Overloaded, Unavailable
from pixvec.jobs.queue import ChunkQueue
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_MAX_WAITING = 10_000


class ChunkPublisher:
    """Sends messages in the order in which chunks were committed, as many at once as have come together."""

    def __init__(self, queue: ChunkQueue, jobs: JobStore, broker: BlockingCalls, sql: BlockingCalls) -> None:
        self._queue = queue
        self._jobs = jobs
        self._broker = broker
        self._sql = sql
        self._waiting: list[ChunkRef] = []
        self._wake = asyncio.Event()

    def publish(self, ref: ChunkRef) -> None:
        """Send a message soon. To be called once the chunk is committed."""
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append(ref)
            self._wake.set()

    async def publish_plan(self, job_id: str) -> None:
        """Ask for a job to be planned, now."""
        try:
            await self._broker.run(self._queue.publish_plan, job_id)
        except (Unavailable, Overloaded) as error:
            log.warning("publish_failed", job=job_id, error=error.message)

    async def publish_training(self, job_id: str) -> None:
        """Ask for a training to be worked on, now."""
        try:
            await self._broker.run(self._queue.publish_training, job_id)
        except (Unavailable, Overloaded) as error:
            log.warning("publish_failed", job=job_id, error=error.message)

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            refs, self._waiting = self._waiting, []
            await self._send(refs)

    async def _send(self, refs: list[ChunkRef]) -> None:
        try:
            await self._broker.run(self._queue.publish, refs)
            await self._sql.run(self._jobs.mark_published, refs)
        except (Unavailable, Overloaded) as error:
            log.warning("publish_failed", chunks=len(refs), error=error.message)
