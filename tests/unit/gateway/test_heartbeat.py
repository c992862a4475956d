"""A job whose stream is open is never taken for an abandoned one; one without a stream is."""

from pixvec.errors import DatabaseUnavailable
from services.gateway.heartbeat import StreamHeartbeat
from tests.in_loop import in_loop
from tests.unit.gateway.writing import IngestCall, WriteSide, pictures

HOUR_S = 3600.0


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


def beating(side):
    return StreamHeartbeat(side.watcher, side.jobs, side.sql)


async def opened(side, **opening):
    call = IngestCall(side, **opening)
    call.send(*pictures(0))
    await call.until(lambda call: call.statuses)
    return call


@in_loop
async def test_an_idle_stream_keeps_its_job_open():
    clock = Clock()
    async with WriteSide(clock=clock).running() as side:
        idle, gone = await opened(side), await opened(side)
        side.work()
        await gone.leave()
        clock.now += HOUR_S
        await beating(side).beat()
        assert side.jobs.close_abandoned(HOUR_S, 10) == [gone.job_id]
        idle.send(*pictures(1))
        await idle.until(lambda call: 1 in call.at(1))
        await idle.leave()


@in_loop
async def test_a_caller_that_comes_back_finds_its_job_open():
    clock = Clock()
    async with WriteSide(clock=clock).running() as side:
        first = await opened(side)
        side.work()
        await first.leave()
        clock.now += HOUR_S
        again = await opened(side, job_id=first.job_id)
        assert side.jobs.close_abandoned(HOUR_S, 10) == []
        again.send(*pictures(1))
        await again.until(lambda call: 1 in call.at(1))
        await again.leave()


@in_loop
async def test_an_outage_does_not_end_the_heartbeat(monkeypatch):
    async with WriteSide().running() as side:
        call = await opened(side)
        touched = []

        def touch(job_ids):
            touched.append(job_ids)
            raise DatabaseUnavailable("restarting")

        monkeypatch.setattr(side.jobs, "touch", touch)
        await beating(side).beat()
        assert touched == [[call.job_id]]
        await call.leave()
