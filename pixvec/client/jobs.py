"""Handles on ingests under way."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Protocol, Self

from pixvec.client.ingest_run import IngestRun
from pixvec.client.patience import Patience
from pixvec.client.progress import watched
from pixvec.client.values import Failure, IngestCounts
from pixvec.domain import JobInfo, SeqToken
from pixvec.errors import FailedPrecondition, Unavailable

REFRESH_S = 0.1


class IngestJob:
    """Pictures being sent in the background. `wait` for it: what was not sent when the program ends is not taken in."""

    def __init__(self, run: IngestRun) -> None:
        self._run = run

    @property
    def job_id(self) -> str:
        """The job's id on the server; waits until the server has given it one. Empty if it never did."""
        return self._run.job_id

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
        """Pictures that failed, the first 10,000 of them; Client.failures(job_id) lists all that the server refused."""
        return self._run.failures

    @property
    def token(self) -> SeqToken:
        """Covers every picture indexed so far; the client that ingests remembers it by itself."""
        return self._run.token

    def wait(
        self,
        progress: bool = False,
        *,
        timeout_s: float | None = None,
        on_progress: Callable[[IngestCounts], None] | None = None,
    ) -> Self:
        """Return when every picture reached the stage asked for, or failed: see `failures`.

        `progress` draws a line on stderr; `on_progress` is called about ten times a second instead. Raises TimeoutError
        when `timeout_s` is over (the ingest goes on), Unavailable when the server stayed away, and whatever the
        sources raised.
        """
        with watched(lambda: self.counts, progress, on_progress) as show:
            if show is None:
                self._run.done.result(timeout_s)
            else:
                _await(self._run.done, timeout_s, lambda: show(self.counts))
        return self

    def cancel(self) -> None:
        """Stop sending. What the server has accepted goes on there."""
        self._run.cancel()


def _await(done: Future[None], timeout_s: float | None, tick: Callable[[], None]) -> None:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while not done.done():
        tick()
        left_s = REFRESH_S if deadline is None else min(REFRESH_S, deadline - time.monotonic())
        try:
            done.result(max(left_s, 0.0))
        except TimeoutError:
            if deadline is not None and time.monotonic() >= deadline:
                raise
    tick()
    done.result()


class JobWatcher(Protocol):
    """What a UriJob needs of a client."""

    def watch_job(self, job_id: str) -> Iterator[JobInfo]:
        """Yield the job now and at every change until it has ended."""

    def failures(self, job_id: str) -> Iterator[Failure]:
        """Yield the job's failed items."""


class UriJob:
    """A job that takes in pictures by reference: the server does it all, whether anyone waits or not."""

    def __init__(self, client: JobWatcher, job: JobInfo) -> None:
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

    @property
    def failures(self) -> list[Failure]:
        """Pictures that failed so far, asked of the server."""
        return list(self._client.failures(self.job_id))

    def wait(self, progress: bool = False, *, on_progress: Callable[[IngestCounts], None] | None = None) -> Self:
        """Return when every picture has ended: see `failures`. Raises FailedPrecondition when the job failed as a
        whole, and Unavailable when the server stayed away."""
        with watched(lambda: self.counts, progress, on_progress) as show:
            for job in self._follow():
                self._job = job
                if show:
                    show(self.counts)
        check_job(self._job)
        return self

    def _follow(self) -> Iterator[JobInfo]:
        patience = Patience()
        while not self._job.state.ended:
            try:
                for job in self._client.watch_job(self.job_id):
                    patience.answered()
                    yield job
            except Unavailable:
                patience.failed()
                if patience.over:
                    raise
                time.sleep(patience.pause_s())


def counts_of(job: JobInfo) -> IngestCounts:
    """Return how a job's items stand."""
    return IngestCounts(
        total=job.total,
        queued=job.queued,
        decoded=job.decoded,
        embedded=job.embedded,
        indexed=job.indexed,
        failed=job.failed,
    )


def check_job(job: JobInfo) -> None:
    """Raise FailedPrecondition if the job failed as a whole."""
    if job.error is not None:
        raise FailedPrecondition(f"job {job.job_id} failed: {job.error.message}")
