"""Opens Ingest streams: a new job, or one that an earlier stream began."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.catalogue.interfaces import JobStore
from pixvec.domain import Collection, JobKind
from pixvec.errors import InvalidRequest, Overloaded
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.conversions import on_duplicate_from_wire, on_existing_from_wire, stage_from_wire
from services.gateway.closing import Closing
from services.gateway.directory import Directory
from services.gateway.ingest_stream import IngestStream, StreamLimits
from services.gateway.intake import Intake
from services.gateway.publisher import ChunkPublisher
from services.gateway.watcher import OutcomeWatcher


class Ingests:
    """What every Ingest stream is made of."""

    def __init__(
        self,
        directory: Directory,
        jobs: JobStore,
        intake: Intake,
        publisher: ChunkPublisher,
        watcher: OutcomeWatcher,
        sql: BlockingCalls,
        closing: Closing,
        limits: StreamLimits,
        *,
        max_streams: int,
    ) -> None:
        self._directory = directory
        self._jobs = jobs
        self._intake = intake
        self._publisher = publisher
        self._watcher = watcher
        self._sql = sql
        self._closing = closing
        self._limits = limits
        self._max_streams = max_streams
        self._streams = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for one stream, which may hold much memory. Raises Overloaded when every place is taken."""
        if self._streams >= self._max_streams:
            raise Overloaded(
                f"{self._streams} ingest streams are open, as many as are allowed; try again when one has ended",
                retry_after_s=1.0,
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def open(self, opening: pb.IngestOpen) -> IngestStream:
        """Return the stream. Raises CollectionNotFound, and JobNotFound or InvalidRequest for a job to go on with."""
        self._closing.check()
        collection = await self._directory.collection(opening.collection)
        job_id = await self._job_id(opening, collection)
        wait = stage_from_wire(opening.wait)
        return IngestStream(collection.name, job_id, wait, self._intake, self._publisher, self._watcher, self._limits)

    async def _job_id(self, opening: pb.IngestOpen, collection: Collection) -> str:
        if not opening.job_id:
            on_existing = on_existing_from_wire(opening.on_existing)
            create = partial(self._jobs.create, on_duplicate=on_duplicate_from_wire(opening.on_duplicate))
            return (await self._sql.run(create, collection.collection_id, on_existing)).job_id
        job = await self._sql.run(self._jobs.get, opening.job_id)
        if job.collection_id != collection.collection_id:
            raise InvalidRequest(
                f"job {job.job_id} belongs to collection {job.collection!r}, not to {collection.name!r}",
                field="open.job_id",
            )
        if job.kind is not JobKind.INGEST:
            raise InvalidRequest(f"job {job.job_id} is a {job.kind} and takes no pictures", field="open.job_id")
        # It may be about to be closed as abandoned, and the next heartbeat is far.
        await self._sql.run(self._jobs.touch, [job.job_id])
        return job.job_id
