"""What becomes of duplicates that are sent: told by their statuses, and by the images."""

import asyncio

import pytest

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.api.v1 import job_service_pb2
from pixvec.catalogue.interfaces import ChunkRef, NewItem
from pixvec.domain import OnDuplicate
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.job_service import JobService
from tests.in_loop import in_loop
from tests.unit.gateway.writing import FakeContext, IngestCall, WriteSide

CONTEXT = FakeContext()


async def ingest(side: WriteSide, on_duplicate: int, *items: tuple[int, str, bytes]) -> list[pb.IngestItemStatus]:
    """Send pictures, have them worked on, and return how each ended."""
    call = IngestCall(side, on_duplicate=on_duplicate)
    call.send(*items)
    call.close()
    reported = asyncio.ensure_future(call.to_the_end())
    while not reported.done():
        side.work()
        await asyncio.sleep(0.01)
    await reported
    last = {status.ordinal: status for status in call.statuses}
    return [last[ordinal] for ordinal in sorted(last)]


async def image(side: WriteSide, image_id: str) -> pb.Image:
    request = pb.GetImageRequest(collection="photos", image_id=image_id)
    return (await side.service.GetImage(request, CONTEXT)).image


@in_loop
async def test_a_linked_picture_is_told_of_with_its_original():
    async with WriteSide().running() as side:
        await ingest(side, pb.ON_DUPLICATE_KEEP, (0, "first", b"lake"))
        linked, other = await ingest(side, pb.ON_DUPLICATE_LINK, (0, "again", b"lake"), (1, "other", b"car"))
        assert (linked.stage, linked.duplicate_of) == (pb.INGEST_STAGE_INDEXED, "first")
        assert not linked.HasField("position")
        assert (other.duplicate_of, other.HasField("position")) == ("", True)
        found = await image(side, "again")
        assert (found.state, found.duplicate_of) == (pb.IMAGE_STATE_LINKED, "first")
        content = await side.service.GetContent(pb.GetContentRequest(collection="photos", image_id="again"), CONTEXT)
        assert content.content == b"lake"


@in_loop
async def test_of_two_that_arrive_together_one_is_linked():
    async with WriteSide().running() as side:
        ends = await ingest(side, pb.ON_DUPLICATE_LINK, (0, "one", b"lake"), (1, "two", b"lake"))
        assert sorted(each.duplicate_of for each in ends) in (["", "one"], ["", "two"])


@in_loop
async def test_a_rejected_picture_fails_naming_its_original():
    async with WriteSide().running() as side:
        await ingest(side, pb.ON_DUPLICATE_UNSPECIFIED, (0, "first", b"lake"))
        [refused] = await ingest(side, pb.ON_DUPLICATE_REJECT, (0, "again", b"lake"))
        assert refused.error.reason == "DUPLICATE_IMAGE"
        assert "'first'" in refused.error.message
        assert not refused.error.retryable


@in_loop
async def test_what_takes_the_place_of_a_deleted_original_is_asked_for_at_once():
    async with WriteSide().running() as side:
        await ingest(side, pb.ON_DUPLICATE_KEEP, (0, "first", b"lake"))
        await ingest(side, pb.ON_DUPLICATE_LINK, (0, "again", b"lake"))
        known = len(side.queue.chunks)
        await side.service.DeleteImages(pb.DeleteImagesRequest(collection="photos", image_ids=["first"]), CONTEXT)
        while len(side.queue.chunks) == known:  # noqa: ASYNC110 - published from a thread
            await asyncio.sleep(0)
        side.work()
        assert (await image(side, "again")).state == pb.IMAGE_STATE_INDEXED


@pytest.mark.parametrize(
    ("asked", "policy"),
    [(pb.ON_DUPLICATE_UNSPECIFIED, OnDuplicate.KEEP), (pb.ON_DUPLICATE_REJECT, OnDuplicate.REJECT)],
)
@in_loop
async def test_a_job_by_reference_has_its_policy(tmp_path, asked, policy):
    side = WriteSide(roots=(tmp_path.as_uri(),))
    jobs = IngestJobs(side.directory, side.jobs, side.sources, side.publisher, side.sql, BlockingCalls("files", 1))
    request = job_service_pb2.CreateIngestRequest(collection="photos", uri_prefix=tmp_path.as_uri(), on_duplicate=asked)
    made = (await JobService(jobs, None, side.closing).CreateIngest(request, CONTEXT)).job
    added = side.jobs.add_items(made.job_id, [NewItem(0, "a.jpg", {}, uri=f"{tmp_path.as_uri()}/a.jpg")])
    leased = side.jobs.lease_chunk(ChunkRef(made.job_id, added.chunk), "worker", 60)
    assert leased.on_duplicate is policy
