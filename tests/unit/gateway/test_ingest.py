import asyncio

import pytest

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.domain import IngestStage, JobState
from pixvec.errors import (
    CollectionNotFound,
    DatabaseUnavailable,
    FailedPrecondition,
    InvalidRequest,
    JobNotFound,
    Unavailable,
)
from services.gateway.arrivals import Arrival
from tests.in_loop import in_loop
from tests.unit.gateway.writing import IngestCall, WriteSide

QUEUED, DECODED, EMBEDDED, INDEXED = (
    pb.INGEST_STAGE_QUEUED,
    pb.INGEST_STAGE_DECODED,
    pb.INGEST_STAGE_EMBEDDED,
    pb.INGEST_STAGE_INDEXED,
)


def pictures(*ordinals):
    return [(ordinal, f"p/{ordinal}", b"picture %d" % ordinal) for ordinal in ordinals]


async def queued(call, *ordinals):
    await call.until(lambda call: set(ordinals) <= set(call.at(QUEUED)))


@in_loop
async def test_items_are_durable_before_they_are_reported_queued():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0, 1, 2))
        await queued(call, 0, 1, 2)
        stored = {side.blobs.get(side.catalogue.images.get(1, f"p/{n}").content_hash) for n in range(3)}
        assert stored == {b"picture 0", b"picture 1", b"picture 2"}
        assert side.jobs.get(call.job_id).queued == 3
        await call.leave()


@in_loop
async def test_an_ingest_runs_to_its_end():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(*range(10)))
        call.close()
        await queued(call, *range(10))
        side.work()
        await call.to_the_end()
        assert call.at(INDEXED) == list(range(10))
        ends = [each for each in call.statuses if each.stage == INDEXED]
        assert len(ends) == 10
        assert all(each.position.seq > 0 for each in ends)
        assert side.jobs.get(call.job_id).state is JobState.COMPLETED


@in_loop
async def test_every_chunk_is_published_once_and_in_order():
    async with WriteSide(chunk_items=4).running() as side:
        call = IngestCall(side)
        call.send(*pictures(*range(20)))
        await queued(call, *range(20))
        await call.leave()
        made = [each.chunk for each in side.jobs.progress(call.job_id)]
        assert len(made) >= 5
        while len(side.queue.chunks) < len(made):  # noqa: ASYNC110 - published from a thread
            await asyncio.sleep(0)
        assert [ref.chunk for ref in side.queue.chunks] == made


@in_loop
async def test_the_queue_is_only_a_hint():
    side = WriteSide()
    side.queue.error = Unavailable("the broker is down")
    async with side.running():
        call = IngestCall(side)
        call.send(*pictures(0))
        call.close()
        await queued(call, 0)
        side.work()
        await call.to_the_end()
        assert call.at(INDEXED) == [0]


@in_loop
async def test_a_bad_item_fails_alone_and_says_why():
    async with WriteSide(max_picture_bytes=50).running() as side:
        call = IngestCall(side)
        call.send((0, "", b"x"), (1, "a\nb", b"x"), (2, "x" * 600, b"x"), (3, "empty", b""), (4, "big", b"x" * 51))
        call.send_item(ordinal=5, image_id="no source")
        call.send_item(ordinal=6, image_id="uri", uri="file:///etc/passwd")
        call.send_item(ordinal=7, image_id="attribute", content=b"x", attributes={"brand": {}})
        call.send((8, "good", b"x"))
        call.close()
        await queued(call, 8)
        side.work()
        await call.to_the_end()
        reasons = {ordinal: error.reason for ordinal, error in call.failures.items()}
        assert reasons == {
            0: "INVALID_REQUEST",
            1: "INVALID_REQUEST",
            2: "INVALID_REQUEST",
            3: "PICTURE_EMPTY",
            4: "PICTURE_TOO_LARGE",
            5: "INVALID_REQUEST",
            6: "URI_NOT_ALLOWED",
            7: "INVALID_REQUEST",
        }
        assert call.failures[4].message.startswith("big: ")
        assert "item 0" in call.failures[0].message
        assert call.at(INDEXED) == [8]


@in_loop
async def test_failures_of_the_worker_are_reported():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0, 1))
        call.close()
        await queued(call, 0, 1)
        side.work(fail={"p/1"})
        await call.to_the_end()
        assert call.at(INDEXED) == [0]
        assert call.failures[1].reason == "PICTURE_TRUNCATED"


@in_loop
async def test_stages_are_reported_as_chunks_reach_them():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0))
        await queued(call, 0)
        (ref,) = side.jobs.unattended(-1, 10)
        side.jobs.lease_chunk(ref, "worker", 60)
        side.jobs.set_stage(ref, "worker", IngestStage.DECODED)
        await call.until(lambda call: call.at(DECODED) == [0])
        side.jobs.set_stage(ref, "worker", IngestStage.EMBEDDED)
        await call.until(lambda call: call.at(EMBEDDED) == [0])
        await call.leave()


@in_loop
async def test_a_caller_that_waits_for_queued_is_let_go_there():
    async with WriteSide().running() as side:
        call = IngestCall(side, wait=QUEUED)
        call.send(*pictures(0, 1))
        call.close()
        await call.to_the_end()
        assert call.at(QUEUED) == [0, 1]
        assert side.jobs.get(call.job_id).state is JobState.RUNNING


@in_loop
async def test_a_caller_that_goes_away_leaves_the_job_going():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0))
        await queued(call, 0)
        await call.leave()
        side.work()
        assert side.jobs.get(call.job_id).indexed == 1


@in_loop
async def test_a_resumed_stream_tells_of_everything_and_takes_nothing_twice():
    async with WriteSide().running() as side:
        first = IngestCall(side)
        first.send(*pictures(0, 1))
        await queued(first, 0, 1)
        await first.leave()
        side.work(fail={"p/1"})
        second = IngestCall(side, job_id=first.job_id)
        second.send(*pictures(1, 2))
        second.close()
        await queued(second, 2)
        side.work()
        await second.to_the_end()
        assert second.job_id == first.job_id
        assert second.at(INDEXED) == [0, 2]
        assert list(second.failures) == [1]
        job = side.jobs.get(first.job_id)
        assert (job.total, job.indexed, job.failed, job.state) == (3, 2, 1, JobState.COMPLETED)


@in_loop
async def test_a_resumed_stream_waits_for_what_is_still_open():
    async with WriteSide().running() as side:
        first = IngestCall(side)
        first.send(*pictures(0, 1))
        await queued(first, 0, 1)
        await first.leave()
        second = IngestCall(side, job_id=first.job_id)
        second.send(*pictures(0, 1))
        second.close()
        await queued(second, 0, 1)
        assert second.at(INDEXED) == []
        side.work()
        await second.to_the_end()
        assert second.at(INDEXED) == [0, 1]


@in_loop
async def test_what_an_earlier_stream_commits_late_is_found():
    """The connection broke while the first gateway's transaction was under way: it ends after the second has looked."""
    async with WriteSide().running() as side:
        first = IngestCall(side)
        first.send(*pictures(0))
        await queued(first, 0)
        await first.leave()
        side.work()
        second = IngestCall(side, job_id=first.job_id)
        await second.until(lambda call: call.at(INDEXED) == [0])
        items, _ = await side.intake.store([Arrival(1, "p/1", {}, b"picture 1", "")])
        side.jobs.add_items(first.job_id, items)
        second.send(*pictures(1, 2))
        second.close()
        await queued(second, 1, 2)
        side.work()
        await second.to_the_end()
        assert second.at(INDEXED) == [0, 1, 2]


@in_loop
async def test_the_later_of_two_items_with_one_id_wins():
    async with WriteSide(chunk_items=1).running() as side:
        call = IngestCall(side)
        call.send(*((number, "same", b"version %d" % number) for number in range(12)))
        call.close()
        await queued(call, *range(12))
        side.work()
        await call.to_the_end()
        image = side.catalogue.images.get(side.collection.collection_id, "same")
        assert side.blobs.get(image.content_hash) == b"version 11"


@in_loop
async def test_an_ordinal_sent_twice_is_taken_once():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0, 0, 1, 1))
        call.close()
        await queued(call, 0, 1)
        side.work()
        await call.to_the_end()
        assert side.jobs.get(call.job_id).total == 2


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


@pytest.mark.parametrize(
    ("requests", "error"),
    [
        ([], InvalidRequest),
        ([pb.IngestRequest(item=pb.IngestItem(image_id="a", content=b"x"))], InvalidRequest),
        ([pb.IngestRequest(open=pb.IngestOpen(collection=""))], InvalidRequest),
        ([pb.IngestRequest(open=pb.IngestOpen(collection="photos", job_id="no uuid"))], InvalidRequest),
        ([pb.IngestRequest(open=pb.IngestOpen(collection="elsewhere"))], CollectionNotFound),
        ([pb.IngestRequest(open=pb.IngestOpen(collection="photos"))] * 2, InvalidRequest),
        (
            [pb.IngestRequest(open=pb.IngestOpen(collection="photos", job_id="6f2ab2a5-7c8e-4b0f-9d8e-0f0f0f0f0f0f"))],
            JobNotFound,
        ),
    ],
)
@in_loop
async def test_openings_that_cannot_be(requests, error):
    async with WriteSide().running() as side:

        async def sent():
            for request in requests:
                yield request

        with pytest.raises(error):
            async for _ in side.service.Ingest(sent(), None):
                pass


@in_loop
async def test_a_job_of_another_collection_is_refused():
    async with WriteSide().running() as side:
        other = side.catalogue.collections.create("other", side.collection.spaces, 1)
        call = IngestCall(side, collection="photos", job_id=side.jobs.create(other.collection_id, "replace").job_id)
        with pytest.raises(InvalidRequest, match="belongs to collection 'other'"):
            await call.to_the_end()


@in_loop
async def test_a_deleted_collection_ends_the_stream():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        await call.next()
        side.catalogue.collections.delete("photos")
        call.send(*pictures(0))
        with pytest.raises((FailedPrecondition, CollectionNotFound)):
            await call.to_the_end()


@in_loop
async def test_streams_end_when_the_gateway_stops():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send(*pictures(0))
        await queued(call, 0)
        side.closing.begin()
        side.watcher.fail_all(side.closing.error())
        with pytest.raises(Unavailable, match="stopping"):
            await call.to_the_end()
        with pytest.raises(Unavailable, match="stopping"):
            await IngestCall(side).to_the_end()


@in_loop
async def test_uris_under_a_root_are_left_to_the_worker(tmp_path):
    async with WriteSide(roots=(tmp_path.as_uri(),)).running() as side:
        (tmp_path / "a.jpg").write_bytes(b"x")
        call = IngestCall(side)
        call.send_item(ordinal=0, image_id="a", uri=(tmp_path / "a.jpg").as_uri())
        await queued(call, 0)
        (ref,) = side.jobs.unattended(-1, 10)
        (item,) = side.jobs.lease_chunk(ref, "worker", 60).items
        assert (item.uri, item.content_hash) == ((tmp_path / "a.jpg").as_uri(), "")
        await call.leave()
