import asyncio

import pytest

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.domain import IngestStage, JobState
from pixvec.errors import (
    CollectionNotFound,
    InvalidRequest,
    JobNotFound,
    Unavailable,
)
from services.gateway.arrivals import Arrival
from tests.in_loop import in_loop
from tests.unit.gateway.writing import IngestCall, WriteSide, pictures, queued

QUEUED, DECODED, EMBEDDED, INDEXED = (
    pb.INGEST_STAGE_QUEUED,
    pb.INGEST_STAGE_DECODED,
    pb.INGEST_STAGE_EMBEDDED,
    pb.INGEST_STAGE_INDEXED,
)


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
        made = [each.chunk for each in side.jobs.open_chunks(call.job_id)]
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
        long = {name: {"string_value": "x" * 40_000} for name in ("front", "back")}
        call.send_item(ordinal=9, image_id="long", content=b"x", attributes=long)
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
            9: "INVALID_REQUEST",
        }
        assert call.failures[9].message.startswith("long: attributes: 80,025 bytes in all")
        assert call.failures[4].message.startswith("big: ")
        assert "item 0" in call.failures[0].message
        assert call.at(INDEXED) == [8]


@pytest.mark.parametrize("stage", [IngestStage.DECODED, IngestStage.EMBEDDED], ids=lambda stage: stage.name)
@in_loop
async def test_a_caller_that_waits_for_a_stage_hears_of_what_does_not_reach_it(stage):
    async with WriteSide().running() as side:
        call = IngestCall(side, wait=int(stage))
        call.send(*pictures(0, 1, 2))
        call.close()
        await queued(call, 0, 1, 2)
        side.work(fail={"p/1"}, until=stage)
        await call.to_the_end()
        assert call.at(int(stage)) == [0, 2]
        assert {ordinal: error.reason for ordinal, error in call.failures.items()} == {1: "PICTURE_TRUNCATED"}


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
async def test_a_good_picture_is_found_though_a_bad_one_of_its_id_came_right_after():
    async with WriteSide().running() as side:
        call = IngestCall(side)
        call.send((0, "same", b"good"), (1, "same", b"bad"), (2, "other", b"fine"))
        call.close()
        await queued(call, 0, 1, 2)
        side.work(fail={1})
        await call.to_the_end()
        assert call.at(INDEXED) == [0, 2]
        assert list(call.failures) == [1]
        image = side.catalogue.images.get(side.collection.collection_id, "same")
        assert side.blobs.get(image.content_hash) == b"good"


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
        with pytest.raises(CollectionNotFound, match="collection 'photos' was deleted"):
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
