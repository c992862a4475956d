"""Says every minute which jobs have an open stream: the sweeper closes those that nobody speaks for."""

import asyncio

from pixvec.catalogue.interfaces import JobStore
from pixvec.errors import Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from services.gateway.watcher import OutcomeWatcher

log = get_logger(__name__)

_EVERY_S = 60.0


class StreamHeartbeat:
    """Speaks for the streams that the watcher follows."""

    def __init__(self, watcher: OutcomeWatcher, jobs: JobStore, sql: BlockingCalls) -> None:
        self._watcher = watcher
        self._jobs = jobs
        self._sql = sql

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.beat()

    async def beat(self) -> None:
        """Speak for every open stream once."""
        try:
            await self._sql.run(self._jobs.touch, self._watcher.job_ids)
        except (Unavailable, Overloaded) as error:
            log.warning("heartbeat_failed", error=error.message)
