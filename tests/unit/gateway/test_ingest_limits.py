"""What an Ingest stream does when there is too much of something, or too little: back-pressure and outages."""

import asyncio

import pytest

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.errors import (
    CollectionNotFound,
    DatabaseUnavailable,
    Overloaded,
    Unavailable,
)
from tests.in_loop import in_loop
from tests.unit.gateway.writing import IngestCall, WriteSide, pictures, queued

QUEUED, DECODED, EMBEDDED, INDEXED = (
    pb.INGEST_STAGE_QUEUED,
    pb.INGEST_STAGE_DECODED,
    pb.INGEST_STAGE_EMBEDDED,
    pb.INGEST_STAGE_INDEXED,
)


@in_loop
async def test_reading_stops_while_too_much_is_open():
    async with WriteSide(max_open=5).running() as side:
        call = IngestCall(side)
        call.send(*pictures(*range(30)))
        call.close()
        await queued(call, *range(5))
        for _ in range(50):
            await asyncio.sleep(0)
        # The opening, what is open, and the one that waits to be let in.
        assert call.taken <= 7
        more = True
        while more:
            side.work()
            more = await call.next()
            assert call.taken <= len(call.at(INDEXED)) + 7
        assert call.at(INDEXED) == list(range(30))


@in_loop
async def test_reading_stops_while_too_many_bytes_wait_to_be_stored():
    side = WriteSide(max_unstored_bytes=100)
    held = asyncio.Event()

    async def slow(arrivals):
        await held.wait()
        return await store(arrivals)

    store, side.intake.store = side.intake.store, slow
    async with side.running():
        call = IngestCall(side)
        call.send(*((number, f"p/{number}", bytes(60)) for number in range(10)))
        call.close()
        await call.next()
        reading = asyncio.ensure_future(call.next())
        for _ in range(100):
            await asyncio.sleep(0)
        assert call.taken <= 4
        held.set()
        await reading
        await queued(call, *range(10))
        await call.leave()


@in_loop
async def test_what_is_too_much_for_the_system_is_refused_at_once_and_may_be_sent_again():
    async with WriteSide(max_open_items=2).running() as side:
        first = IngestCall(side)
        first.send(*pictures(0, 1, 2))
        await queued(first, 0, 1, 2)
        await first.leave()
        side.intake._counted_at = float("-inf")
        second = IngestCall(side)
        second.send(*pictures(7))
        second.close()
        await second.to_the_end()
        error = second.failures[7]
        assert (error.reason, error.retryable) == ("OVERLOADED", True)
        assert side.jobs.get(second.job_id).total == 0


@in_loop
async def test_more_streams_than_there_is_memory_for_are_refused_until_one_has_ended():
    async with WriteSide(max_streams=2).running() as side:
        first, second = IngestCall(side), IngestCall(side)
        for call in (first, second):
            await call.next()
        with pytest.raises(Overloaded, match="2 ingest streams") as caught:
            await IngestCall(side).next()
        assert caught.value.retry_after_s
        await first.leave()
        second.close()
        await second.to_the_end()
        again = [IngestCall(side), IngestCall(side)]
        for call in again:
            assert await call.next()
            await call.leave()


@in_loop
async def test_a_stream_that_cannot_be_opened_takes_no_place():
    async with WriteSide(max_streams=1).running() as side:
        with pytest.raises(CollectionNotFound):
            await IngestCall(side, collection="elsewhere").next()
        call = IngestCall(side)
        assert await call.next()
        await call.leave()


@in_loop
async def test_a_short_outage_of_the_database_is_waited_out(monkeypatch):
    side = WriteSide()
    add_items, outages = side.jobs.add_items, iter([True, True])

    def add(*arguments):
        if next(outages, False):
            raise DatabaseUnavailable("restarting")
        return add_items(*arguments)

    monkeypatch.setattr(side.jobs, "add_items", add)
    async with side.running():
        call = IngestCall(side)
        call.send(*pictures(0))
        call.close()
        await queued(call, 0)
        side.work()
        await call.to_the_end()
        assert call.at(INDEXED) == [0]


@in_loop
async def test_a_long_outage_ends_the_stream_with_nothing_reported_queued(monkeypatch):
    side = WriteSide(outage_s=0)

    def down(*arguments):
        raise DatabaseUnavailable("down")

    async with side.running():
        call = IngestCall(side)
        await call.next()
        monkeypatch.setattr(side.jobs, "add_items", down)
        call.send(*pictures(0))
        with pytest.raises(DatabaseUnavailable):
            await call.to_the_end()
        assert call.statuses == []


@in_loop
async def test_an_outage_while_outcomes_are_awaited_ends_the_stream_in_the_end(monkeypatch):
    side = WriteSide(outage_s=0)

    def down(*arguments):
        raise DatabaseUnavailable("down")

    async with side.running():
        call = IngestCall(side)
        call.send(*pictures(0))
        call.close()
        await queued(call, 0)
        monkeypatch.setattr(side.jobs, "progress", down)
        with pytest.raises(DatabaseUnavailable):
            await call.to_the_end()


@in_loop
async def test_a_full_disk_ends_the_stream_as_unavailable(monkeypatch):
    side = WriteSide(outage_s=0)

    def full(content):
        raise Unavailable("No space left on device")

    monkeypatch.setattr(side.blobs, "put", full)
    async with side.running():
        call = IngestCall(side)
        call.send(*pictures(0))
        with pytest.raises(Unavailable, match="No space left"):
            await call.to_the_end()
