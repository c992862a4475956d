import asyncio
from types import SimpleNamespace

import pytest

from pixvec.client import AsyncUriJob, UriJob, async_jobs, jobs
from pixvec.client.patience import Patience
from pixvec.domain import JobState
from pixvec.errors import Unavailable


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_it_lasts_from_the_first_failure_after_the_last_answer():
    clock = Clock()
    patience = Patience(10.0, clock)
    patience.failed()
    clock.now += 9
    patience.failed()
    assert (patience.silent_s, patience.over) == (9.0, False)
    patience.answered()
    clock.now += 9
    assert (patience.silent_s, patience.over) == (0.0, False)
    patience.failed()
    clock.now += 10.5
    assert (patience.silent_s, patience.over) == (10.5, True)


def job(state):
    return SimpleNamespace(
        job_id="j", state=state, error=None, total=0, queued=0, decoded=0, embedded=0, indexed=0, failed=0
    )


class Away:
    """A client whose server breaks off that often before the job ends."""

    def __init__(self, failures):
        self.left = failures

    def watch_job(self, job_id):
        yield job(JobState.RUNNING)
        if self.left:
            self.left -= 1
            raise Unavailable("away")
        yield job(JobState.COMPLETED)


class AsyncAway(Away):
    async def watch_job(self, job_id):
        for each in super().watch_job(job_id):
            yield each


def wait_for(failures):
    return UriJob(Away(failures), job(JobState.RUNNING)).wait()


def wait_for_async(failures):
    return asyncio.run(AsyncUriJob(AsyncAway(failures), job(JobState.RUNNING)).wait())


@pytest.mark.parametrize("wait", [wait_for, wait_for_async])
def test_a_job_is_asked_for_again_while_patience_lasts(monkeypatch, wait):
    monkeypatch.setattr(Patience, "pause_s", lambda self: 0.0)
    assert wait(failures=3).info.state is JobState.COMPLETED
    for module in (jobs, async_jobs):
        monkeypatch.setattr(module, "Patience", lambda: Patience(limit_s=-1.0))
    with pytest.raises(Unavailable, match="away"):
        wait(failures=1)
