"""JobService."""

import uuid
from collections.abc import AsyncGenerator
from typing import Any

from pixvec.api.v1 import job_service_pb2 as pb
from pixvec.api.v1 import job_service_pb2_grpc
from pixvec.rpc.conversions import on_duplicate_from_wire, on_existing_from_wire
from pixvec.rpc.deadlines import time_left_s
from pixvec.rpc.models import fitted_kind_from_wire
from services.gateway.closing import Closing
from services.gateway.converters import to_failure, to_job
from services.gateway.ingest_jobs import IngestJobs
from services.gateway.page_tokens import DEFAULT_PAGE_SIZE, decode_page_token, encode_page_token
from services.gateway.trainings import Trainings, TrainingWish

_POLL_S = 0.2
_LONGEST_POLL_S = 1.0
# For callers who name no deadline: the weights of a PCA's model may have to be fetched.
_DEFAULT_DEADLINE_S = 360.0
_JOB_PAGES = "jobs"
_FAILURE_PAGES = "failures"


class JobService(job_service_pb2_grpc.JobServiceServicer):
    """Long work that outlives the call that asked for it."""

    def __init__(self, jobs: IngestJobs, trainings: Trainings, closing: Closing) -> None:
        self._jobs = jobs
        self._trainings = trainings
        self._closing = closing

    async def CreateIngest(self, request: pb.CreateIngestRequest, context: Any) -> pb.CreateIngestResponse:  # noqa: ARG002
        """Take in every picture under a URI prefix."""
        policy = on_existing_from_wire(request.on_existing), on_duplicate_from_wire(request.on_duplicate)
        on_existing, on_duplicate = policy
        job = await self._jobs.create(
            request.collection, request.uri_prefix, on_existing, request.idempotency_key, on_duplicate
        )
        return pb.CreateIngestResponse(job=to_job(job))

    async def CreateTraining(self, request: pb.CreateTrainingRequest, context: Any) -> pb.CreateTrainingResponse:
        """Fit a codebook or a PCA on a sample of a collection."""
        wish = TrainingWish(
            request.collection,
            request.name,
            fitted_kind_from_wire(request.kind),
            request.model,
            request.size,
            request.sample_size,
            request.idempotency_key,
        )
        job = await self._trainings.create(wish, time_left_s(context, _DEFAULT_DEADLINE_S))
        return pb.CreateTrainingResponse(job=to_job(job))

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:  # noqa: ARG002
        """Describe one job."""
        return pb.GetJobResponse(job=to_job(await self._jobs.get(request.job_id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:  # noqa: ARG002
        """Describe jobs, the newest first."""
        before = decode_page_token(_JOB_PAGES, request.page_token, _to_job_id, "")
        limit = request.page_size or DEFAULT_PAGE_SIZE
        jobs = await self._jobs.page(request.collection, before, limit)
        token = encode_page_token(_JOB_PAGES, jobs[-1].job_id) if len(jobs) == limit else ""
        return pb.ListJobsResponse(jobs=[to_job(job) for job in jobs], next_page_token=token)

    async def WatchJob(
        self,
        request: pb.WatchJobRequest,
        context: Any,  # noqa: ARG002
    ) -> AsyncGenerator[pb.WatchJobResponse, None]:
        """Describe a job at every change until it ends."""
        job = await self._jobs.get(request.job_id)
        yield pb.WatchJobResponse(job=to_job(job))
        pause_s = _POLL_S
        while not job.state.ended:
            await self._closing.pause(pause_s)
            before, job = job, await self._jobs.get(request.job_id)
            if job != before:
                yield pb.WatchJobResponse(job=to_job(job))
            pause_s = _POLL_S if job != before else min(1.5 * pause_s, _LONGEST_POLL_S)

    async def ListFailures(self, request: pb.ListFailuresRequest, context: Any) -> pb.ListFailuresResponse:  # noqa: ARG002
        """Describe the items that failed, by ordinal."""
        after = decode_page_token(_FAILURE_PAGES, request.page_token, int, -1)
        limit = request.page_size or DEFAULT_PAGE_SIZE
        failures = await self._jobs.failures(request.job_id, after, limit)
        token = encode_page_token(_FAILURE_PAGES, str(failures[-1][0].ordinal)) if len(failures) == limit else ""
        return pb.ListFailuresResponse(failures=[to_failure(each) for each in failures], next_page_token=token)


def _to_job_id(text: str) -> str:
    return str(uuid.UUID(text))
