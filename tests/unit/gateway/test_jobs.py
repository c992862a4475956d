import asyncio
import itertools

import pytest

from pixvec.api.v1 import job_service_pb2 as pb
from pixvec.catalogue.interfaces import NewItem
from pixvec.errors import CollectionNotFound, InvalidRequest, JobNotFound, Unavailable, UriNotAllowed
from pixvec.rpc.blocking import BlockingCalls
from services.gateway import job_service as job_service_module
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.job_service import JobService
from services.gateway.trainings import Trainings
from tests.in_loop import in_loop
from tests.unit.gateway.writing import FakeContext, WriteSide

CONTEXT = FakeContext()
UNKNOWN = "6f2ab2a5-7c8e-4b0f-9d8e-0f0f0f0f0f0f"


def service_of(side):
    files = BlockingCalls("files", 1)
    jobs = IngestJobs(side.directory, side.jobs, side.sources, side.publisher, side.sql, files)
    trainings = Trainings(side.directory, side.catalogue, side.embedder, side.publisher, side.sql)
    return JobService(jobs, trainings, side.closing)


def create(side, root, **fields):
    request = pb.CreateIngestRequest(collection="photos", uri_prefix=root.as_uri(), **fields)
    return service_of(side).CreateIngest(request, CONTEXT)


@in_loop
async def test_a_job_is_made_and_its_planning_asked_for(tmp_path):
    side = WriteSide(roots=(tmp_path.as_uri(),))
    job = (await create(side, tmp_path)).job
    assert (job.state, job.collection) == (pb.JOB_STATE_PLANNING, "photos")
    assert side.queue.plans == [job.job_id]
    assert side.jobs.planned(job.job_id) == (tmp_path.as_uri(), -1)


@in_loop
async def test_the_same_key_makes_one_job(tmp_path):
    side = WriteSide(roots=(tmp_path.as_uri(),))
    first = await create(side, tmp_path, idempotency_key="k")
    second = await create(side, tmp_path, idempotency_key="k")
    assert first.job.job_id == second.job.job_id


@in_loop
async def test_a_broker_that_is_down_is_left_to_the_sweeper(tmp_path):
    side = WriteSide(roots=(tmp_path.as_uri(),))
    side.queue.error = Unavailable("down")
    job = (await create(side, tmp_path)).job
    assert side.jobs.unplanned(-1, 10) == [job.job_id]


@in_loop
async def test_a_prefix_outside_the_roots_makes_no_job(tmp_path):
    side = WriteSide(roots=((tmp_path / "allowed").as_uri(),))
    with pytest.raises(UriNotAllowed):
        await create(side, tmp_path / "other")
    assert side.jobs.page(None, "", 10) == []


@in_loop
async def test_jobs_are_listed_the_newest_first_in_pages():
    side = WriteSide()
    service = service_of(side)
    made = [side.jobs.create(side.collection.collection_id, "replace").job_id for _ in range(5)]
    found, token = [], ""
    while True:
        page = await service.ListJobs(pb.ListJobsRequest(collection="photos", page_size=2, page_token=token), CONTEXT)
        found += [job.job_id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert found == made[::-1]
    with pytest.raises(CollectionNotFound):
        await service.ListJobs(pb.ListJobsRequest(collection="elsewhere"), CONTEXT)
    with pytest.raises(InvalidRequest):
        await service.ListJobs(pb.ListJobsRequest(page_token="made up"), CONTEXT)


@in_loop
async def test_failures_are_listed_in_pages():
    side = WriteSide()
    service = service_of(side)
    job_id = side.jobs.create(side.collection.collection_id, "replace").job_id
    side.jobs.add_items(job_id, [NewItem(number, f"i{number}", {}, content_hash="ab") for number in range(5)])
    side.work(fail={"i0", "i1", "i3", "i4"})
    found, token = [], ""
    while True:
        request = pb.ListFailuresRequest(job_id=job_id, page_size=3, page_token=token)
        page = await service.ListFailures(request, CONTEXT)
        found += page.failures
        token = page.next_page_token
        if not token:
            break
    assert [(each.ordinal, each.image_id, each.error.reason) for each in found] == [
        (number, f"i{number}", "PICTURE_TRUNCATED") for number in (0, 1, 3, 4)
    ]


@in_loop
async def test_unknown_jobs():
    service = service_of(WriteSide())
    with pytest.raises(JobNotFound):
        await service.GetJob(pb.GetJobRequest(job_id=UNKNOWN), CONTEXT)
    with pytest.raises(JobNotFound):
        await service.ListFailures(pb.ListFailuresRequest(job_id=UNKNOWN), CONTEXT)
    with pytest.raises(JobNotFound):
        await anext(service.WatchJob(pb.WatchJobRequest(job_id=UNKNOWN), CONTEXT))


@in_loop
async def test_a_job_is_watched_to_its_end(monkeypatch):
    monkeypatch.setattr(job_service_module, "_POLL_S", 0.001)
    side = WriteSide()
    job_id = side.jobs.create(side.collection.collection_id, "replace").job_id
    seen = []
    async for response in service_of(side).WatchJob(pb.WatchJobRequest(job_id=job_id), CONTEXT):
        seen.append(response.job)
        if len(seen) == 1:
            side.jobs.add_items(job_id, [NewItem(0, "a", {}, content_hash="ab")])
        elif len(seen) == 2:
            side.work()
            side.jobs.close(job_id)
    assert [job.total for job in seen][:2] == [0, 1]
    assert seen[-1].state == pb.JOB_STATE_COMPLETED
    assert all(before != after for before, after in itertools.pairwise(seen))


@in_loop
async def test_watching_ends_when_the_gateway_stops():
    side = WriteSide()
    job_id = side.jobs.create(side.collection.collection_id, "replace").job_id
    watching = service_of(side).WatchJob(pb.WatchJobRequest(job_id=job_id), CONTEXT)
    await anext(watching)
    following = asyncio.ensure_future(anext(watching))
    side.closing.begin()
    with pytest.raises(Unavailable, match="stopping"):
        await following
