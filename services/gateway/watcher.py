"""Follows the chunks of every open Ingest stream in the catalogue, and tells the streams what moved."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Protocol

from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus, JobStore
from pixvec.errors import Overloaded, PixvecError, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_SHORTEST_PAUSE_S = 0.02
_PAUSE_AFTER_MOVE_S = 0.04
_LONGEST_PAUSE_S = 0.2
_GROWTH = 1.5


class Follower(Protocol):
    """A stream with chunks under way."""

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
    """One poll of the catalogue for each job that has chunks under way; none while there is nothing to follow.

    Polls follow a new chunk closely and slow down while nothing moves. While the database cannot be reached they go
    on for `outage_s`, then the followers fail.
    """

    def __init__(self, jobs: JobStore, sql: BlockingCalls, *, outage_s: float = 30.0) -> None:
        self._jobs = jobs
        self._sql = sql
        self._outage_s = outage_s
        self._followers: set[Follower] = set()
        self._wake = asyncio.Event()
        self._pause_s = _SHORTEST_PAUSE_S
        self._outage_since: float | None = None

    @property
    def job_ids(self) -> list[str]:
        """The jobs of every open stream, busy or idle."""
        return sorted({follower.job_id for follower in self._followers})

    def follow(self, follower: Follower) -> None:
        """Follow this stream from now on."""
        self._followers.add(follower)

    def unfollow(self, follower: Follower) -> None:
        """Follow it no more."""
        self._followers.discard(follower)

    def fail_all(self, error: PixvecError) -> None:
        """End every stream with this error."""
        for follower in list(self._followers):
            follower.fail(error)

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
        busy = [follower for follower in self._followers if follower.open_chunks]
        try:
            moved = await asyncio.gather(*(self._poll_one(follower) for follower in busy))
        except (Unavailable, Overloaded) as error:
            self._note_outage(error)
            return False
        self._outage_since = None
        return any(moved)

    async def _follow_to_the_end(self) -> None:
        while any(follower.open_chunks for follower in self._followers):
            await asyncio.sleep(self._pause_s)
            if await self.poll():
                self._pause_s = _PAUSE_AFTER_MOVE_S
            else:
                self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)

    async def _poll_one(self, follower: Follower) -> bool:
        try:
            progress = await self._sql.run(self._jobs.progress, follower.job_id, list(follower.open_chunks))
            to_read = follower.progressed(progress)
            if to_read:
                statuses = await self._sql.run(self._jobs.statuses, follower.job_id, to_read)
                follower.settled(to_read, statuses)
        except (Unavailable, Overloaded):
            raise
        except PixvecError as error:
            follower.fail(error)
            return True
        return bool(to_read)

    def _note_outage(self, error: Unavailable | Overloaded) -> None:
        now = time.monotonic()
        if self._outage_since is None:
            self._outage_since = now
            log.warning("outcomes_unknown", error=error.message)
        if now - self._outage_since > self._outage_s:
            self.fail_all(error)
