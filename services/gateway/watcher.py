"""Follows the chunks of every open Ingest stream in the catalogue, and tells the streams what moved."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus, JobStore
from pixvec.errors import JobNotFound, Overloaded, PixvecError, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_SHORTEST_PAUSE_S = 0.02
_PAUSE_AFTER_MOVE_S = 0.04
_LONGEST_PAUSE_S = 0.2
_GROWTH = 1.5
_READS_AT_ONCE = 4


class WatchedStream(Protocol):
    """A stream that has chunks under way, or may have."""

    @property
    def job_id(self) -> str:
        """The job whose chunks these are."""

    @property
    def open_chunks(self) -> Collection[int]:
        """The chunks to follow now."""

    def progressed(self, progress: Sequence[ChunkProgress]) -> list[int]:
        """Take in how the chunks stand. Return those whose items have to be read."""

    def settled(self, chunks: Collection[int], statuses: Sequence[ItemStatus]) -> None:
        """Take in the items of the chunks that were asked for."""

    def fail(self, error: PixvecError) -> None:
        """Give up: the chunks cannot be followed."""


class OutcomeWatcher:
    """One query a poll for all chunks under way, then the items of those that moved; none while there is nothing to
    follow.

    Polls follow a new chunk closely and slow down while nothing moves. While the database cannot be reached they go
    on for `outage_s`, then the streams fail.
    """

    def __init__(self, jobs: JobStore, sql: BlockingCalls, *, outage_s: float = 30.0) -> None:
        self._jobs = jobs
        self._sql = sql
        self._outage_s = outage_s
        self._streams: set[WatchedStream] = set()
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._wake = asyncio.Event()
        self._pause_s = _SHORTEST_PAUSE_S
        self._outage_since: float | None = None

    @property
    def job_ids(self) -> list[str]:
        """The jobs of every open stream, busy or idle."""
        return sorted({stream.job_id for stream in self._streams})

    def follow(self, stream: WatchedStream) -> None:
        """Follow this stream from now on."""
        self._streams.add(stream)

    def unfollow(self, stream: WatchedStream) -> None:
        """Follow it no more."""
        self._streams.discard(stream)

    def fail_all(self, error: PixvecError) -> None:
        """End every stream with this error."""
        for stream in list(self._streams):
            stream.fail(error)

    def wake(self) -> None:
        """Say that a stream has a chunk to follow."""
        self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._pause_s = _SHORTEST_PAUSE_S
            await self._follow_to_the_end()

    async def poll(self) -> bool:
        """Read once how all chunks under way stand. Return whether any moved."""
        asked = {stream: set(stream.open_chunks) for stream in self._streams if stream.open_chunks}
        try:
            progress = await self._sql.run(self._jobs.progress, _by_job(asked))
            moved = [self._tell(stream, chunks, progress.get(stream.job_id, [])) for stream, chunks in asked.items()]
            await self._settle([each for each in moved if each[1]])
        except Overloaded as error:
            log.info("outcomes_delayed", error=error.message)
            return False
        except Unavailable as error:
            self._note_outage(error)
            return False
        except PixvecError as error:
            log.error("outcomes_unreadable", exc_info=error)
            self.fail_all(error)
            return False
        self._outage_since = None
        return any(to_read for _, to_read in moved)

    async def _follow_to_the_end(self) -> None:
        while any(stream.open_chunks for stream in self._streams):
            await asyncio.sleep(self._pause_s)
            if await self.poll():
                self._pause_s = _PAUSE_AFTER_MOVE_S
            else:
                self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)

    def _tell(
        self, stream: WatchedStream, asked: set[int], progress: Sequence[ChunkProgress]
    ) -> tuple[WatchedStream, list[int]]:
        """Return the stream with the chunks whose items it needs to know."""
        mine = [each for each in progress if each.chunk in asked]
        if len(mine) < len(asked):
            stream.fail(JobNotFound(f"job {stream.job_id} is gone: its collection was deleted", field="job_id"))
        return stream, stream.progressed(mine)

    async def _settle(self, moved: Sequence[tuple[WatchedStream, list[int]]]) -> None:
        """Read the items of chunks that moved, each stream for itself. Raises what the first of them raised."""
        outcomes = await asyncio.gather(*(self._read(*each) for each in moved), return_exceptions=True)
        for error in outcomes:
            if error is not None:
                raise error

    async def _read(self, stream: WatchedStream, to_read: Collection[int]) -> None:
        async with self._reading:
            statuses = await self._sql.run(self._jobs.statuses, stream.job_id, to_read)
        stream.settled(to_read, statuses)

    def _note_outage(self, error: Unavailable) -> None:
        now = time.monotonic()
        if self._outage_since is None:
            self._outage_since = now
            log.warning("outcomes_unknown", error=error.message)
        if now - self._outage_since > self._outage_s:
            self.fail_all(error)


def _by_job(asked: Mapping[WatchedStream, set[int]]) -> dict[str, set[int]]:
    """Return the chunks that are asked for; two streams may be of one job."""
    chunks: dict[str, set[int]] = defaultdict(set)
    for stream, wanted in asked.items():
        chunks[stream.job_id] |= wanted
    return chunks
