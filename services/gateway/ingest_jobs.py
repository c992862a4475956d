"""Jobs as the gateway's callers know them."""

from functools import partial

from pixvec.catalogue.interfaces import ItemStatus, JobStore
from pixvec.domain import Job, OnDuplicate, OnExisting
from pixvec.jobs.sources import UriSources
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.directory import Directory
from services.gateway.publisher import ChunkPublisher


class IngestJobs:
    """Creates jobs from URI prefixes, and tells how jobs stand."""

    def __init__(
        self,
        directory: Directory,
        jobs: JobStore,
        sources: UriSources,
        publisher: ChunkPublisher,
        sql: BlockingCalls,
        files: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._jobs = jobs
        self._sources = sources
        self._publisher = publisher
        self._sql = sql
        self._files = files

    async def create(
        self,
        collection: str,
        uri_prefix: str,
        on_existing: OnExisting,
        idempotency_key: str,
        on_duplicate: OnDuplicate = OnDuplicate.KEEP,
    ) -> Job:
        """Create a job and ask for it to be planned. Raises CollectionNotFound, UriNotAllowed."""
        found = await self._directory.collection(collection)
        await self._files.run(self._sources.check, uri_prefix)
        create = partial(
            self._jobs.create, uri_prefix=uri_prefix, idempotency_key=idempotency_key, on_duplicate=on_duplicate
        )
        job = await self._sql.run(create, found.collection_id, on_existing)
        await self._publisher.publish_plan(job.job_id)
        return job

    async def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        return await self._sql.read(self._jobs.get, job_id)

    async def page(self, collection: str, before_job_id: str, limit: int) -> list[Job]:
        """Return jobs, the newest first, of one collection or of all. Raises CollectionNotFound."""
        collection_id = (await self._directory.collection(collection)).collection_id if collection else None
        return await self._sql.run(self._jobs.page, collection_id, before_job_id, limit)

    async def failures(self, job_id: str, after_ordinal: int, limit: int) -> list[tuple[ItemStatus, str]]:
        """Return failed items above an ordinal, with their URIs. Raises JobNotFound."""
        await self._sql.read(self._jobs.get, job_id)
        return await self._sql.run(self._jobs.failures, job_id, after_ordinal, limit)
