"""Handles on ingests under way, for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self

from pixvec.client.ingest_run import IngestRun
from pixvec.client.jobs import REFRESH_S, check_job, counts_of
from pixvec.client.patience import Patience
from pixvec.client.progress import watched
from pixvec.client.values import Failure, IngestCounts
from pixvec.domain import JobInfo, SeqToken
from pixvec.errors import Unavailable


class AsyncIngestJob:
    """Pictures being sent in the background, as IngestJob is."""

    def __init__(self, run: IngestRun) -> None:
        self._run = run

    async def job_id(self) -> str:
        """Return the job's id on the server, once the server has given it one. Empty if it never did."""
        return await asyncio.to_thread(lambda: self._run.job_id)

    @property
    def done(self) -> bool:
        """Whether every picture has ended, or the ingest has."""
        return self._run.done.done()

    @property
    def counts(self) -> IngestCounts:
        """How the pictures stand now."""
        return self._run.counts

    @property
    def failures(self) -> list[Failure]:
        """Pictures that failed, the first 10,000 of them; AsyncClient.failures lists all that the server refused."""
        return self._run.failures

    @property
    def token(self) -> SeqToken:
        """Covers every picture indexed so far; the client that ingests remembers it by itself."""
        return self._run.token

    async def wait(self, progress: bool = False, *, on_progress: Callable[[IngestCounts], None] | None = None) -> Self:
        """Return when every picture reached the stage asked for, or failed: see `failures`. Cancelling the wait leaves
        the ingest going. Raises as IngestJob.wait does."""
        done = asyncio.shield(asyncio.wrap_future(self._run.done))
        with watched(lambda: self.counts, progress, on_progress) as show:
            while show and not done.done():
                show(self.counts)
                await asyncio.wait([done], timeout=REFRESH_S)
            await done
        return self

    def cancel(self) -> None:
        """Stop sending. What the server has accepted goes on there."""
        self._run.cancel()


class AsyncJobWatcher(Protocol):
    """What an AsyncUriJob needs of a client."""

    def watch_job(self, job_id: str) -> AsyncIterator[JobInfo]:
        """Yield the job now and at every change until it has ended."""

    def failures(self, job_id: str) -> AsyncIterator[Failure]:
        """Yield the job's failed items."""


class AsyncUriJob:
    """A job that takes in pictures by reference, as UriJob is."""

    def __init__(self, client: AsyncJobWatcher, job: JobInfo) -> None:
        self._client = client
        self._job = job

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.job_id

    @property
    def info(self) -> JobInfo:
        """The job as it was last heard of."""
        return self._job

    @property
    def counts(self) -> IngestCounts:
        """How the pictures stood when last heard of."""
        return counts_of(self._job)

    @property
    def token(self) -> SeqToken:
        """Covers what was written when last heard of."""
        return self._job.token

    async def failures(self) -> list[Failure]:
        """Return the pictures that failed so far."""
        return [failure async for failure in self._client.failures(self.job_id)]

    async def wait(self, progress: bool = False, *, on_progress: Callable[[IngestCounts], None] | None = None) -> Self:
        """Return when every picture has ended. Raises as UriJob.wait does."""
        with watched(lambda: self.counts, progress, on_progress) as show:
            async for job in self._follow():
                self._job = job
                if show:
                    show(self.counts)
        check_job(self._job)
        return self

    async def _follow(self) -> AsyncIterator[JobInfo]:
        patience = Patience()
        while not self._job.state.ended:
            try:
                async for job in self._client.watch_job(self.job_id):
                    patience.answered()
                    yield job
            except Unavailable:
                patience.failed()
                if patience.over:
                    raise
                await asyncio.sleep(patience.pause_s())
