"""The client for programs with an event loop."""

import uuid
import weakref
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import grpc

from pixvec.api.v1.collection_service_pb2_grpc import CollectionServiceStub
from pixvec.api.v1.image_service_pb2_grpc import ImageServiceStub
from pixvec.api.v1.job_service_pb2_grpc import JobServiceStub
from pixvec.client import answers, requests
from pixvec.client.admin import AsyncAdmin
from pixvec.client.async_jobs import AsyncIngestJob, AsyncUriJob
from pixvec.client.async_models import AsyncModels
from pixvec.client.async_searches import AsyncSearches
from pixvec.client.channel import CREATE_TIMEOUT_S, DEFAULT_ADDRESS, channel_options
from pixvec.client.failures import client_error
from pixvec.client.ingest_run import IngestLimits, IngestRun
from pixvec.client.new_collections import Regions, Spaces, create_collection
from pixvec.client.sources import AttributeSource, Sources, read_sources
from pixvec.client.values import CollectionInfo, DeleteResult, Failure, ImageInfo
from pixvec.domain import (
    IndexKind,
    IndexSettings,
    IngestStage,
    JobInfo,
    Metric,
    OnDuplicate,
    OnExisting,
    VectorStorage,
)


class AsyncClient(AsyncSearches):
    """Client with an event loop: the same methods, awaited; the same memory of its own writes, the same errors.

    Close it, or use it in an `async with`. One client belongs to one event loop.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = 30.0) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=channel_options(address))
        super().__init__(address, timeout_s, self._channel)
        self._collections = CollectionServiceStub(self._channel)
        self._images = ImageServiceStub(self._channel)
        self._jobs = JobServiceStub(self._channel)
        self._ingest_channel: grpc.Channel | None = None
        self._admin = AsyncAdmin(self._channel, self._call, self._tokens)
        self._models = AsyncModels(self._channel, self._call, self)
        self._runs: weakref.WeakSet[IngestRun] = weakref.WeakSet()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop what is being sent and close the connection."""
        for run in list(self._runs):
            run.cancel()
        if self._ingest_channel is not None:
            self._ingest_channel.close()
        await self._channel.close(None)

    @property
    def admin(self) -> AsyncAdmin:
        """Snapshots of collections, and how everything stands: for those who run a deployment."""
        return self._admin

    @property
    def models(self) -> AsyncModels:
        """What makes vectors, and jobs that fit some on a collection's pictures."""
        return self._models

    async def create_collection(
        self,
        name: str,
        model: str = "auto",
        *,
        metric: Metric | str = Metric.COSINE,
        shards: int | None = None,
        index: IndexSettings | str = IndexKind.AUTO,
        regions: Regions | None = None,
        spaces: Spaces | None = None,
    ) -> CollectionInfo:
        """Create a collection; `auto` takes the best model that can be had now and says why in `model_choice`. `index`
        says how its vectors are searched: `IndexSettings`, or the name of a kind such as `hnsw`.

        `regions` has the objects of each picture found too, by `RegionSettings` or the name of a detector such as
        `fasterrcnn_resnet50_fpn`: the space `region`. `spaces` adds further ones, {name: model or `SpaceSettings`}.

        Raises CollectionExists, ModelNotFound, WeightsUnavailable, InvalidRequest.
        """
        request = create_collection(name, model, metric, shards, index, regions, spaces)
        response = await self._call(self._collections.CreateCollection, request, CREATE_TIMEOUT_S)
        self._tokens.forget(name)
        return answers.collection_info(response.collection, response.model_choice)

    async def get_collection(self, name: str) -> CollectionInfo:
        """Return a collection. Raises CollectionNotFound."""
        request = requests.get_collection(name)
        return answers.collection_info((await self._call(self._collections.GetCollection, request)).collection)

    async def list_collections(self) -> AsyncIterator[CollectionInfo]:
        """Yield every collection, by name."""
        async for page in self._pages(self._collections.ListCollections, requests.list_collections()):
            for item in page.collections:
                yield answers.collection_info(item)

    async def update_collection(
        self,
        name: str,
        *,
        space: str = "",
        kind: IndexKind | str | None = None,
        storage: VectorStorage | str | None = None,
        hnsw_m: int | None = None,
        ef_construction: int | None = None,
        nlist: int | None = None,
    ) -> CollectionInfo:
        """Index a collection otherwise, or one space of it: what is given changes, 0 brings a number's default back.
        Vectors that are indexed already are indexed again in the background, while searches go on.

        Raises CollectionNotFound, SpaceNotFound.
        """
        numbers = {"hnsw_m": hnsw_m, "ef_construction": ef_construction, "nlist": nlist}
        request = requests.update_collection(name, space, kind=kind, storage=storage, **numbers)
        return answers.collection_info((await self._call(self._collections.UpdateCollection, request)).collection)

    async def delete_collection(self, name: str) -> None:
        """Delete a collection with all its images. Raises CollectionNotFound."""
        await self._call(self._collections.DeleteCollection, requests.delete_collection(name))
        self._tokens.forget(name)

    def ingest(
        self,
        collection: str,
        sources: Sources,
        *,
        attributes: AttributeSource = None,
        on_existing: OnExisting | str = OnExisting.REPLACE,
        on_duplicate: OnDuplicate | str = OnDuplicate.KEEP,
        wait: IngestStage | str = IngestStage.INDEXED,
        limits: IngestLimits | None = None,
    ) -> AsyncIngestJob:
        """Send pictures in the background: files, folders, (id, bytes) pairs or NewImage values, read as needed.

        `attributes` is given to every picture, or called with its id. `wait` is the stage at which a picture counts as
        done. `on_duplicate`: a picture that the collection holds under another id is taken in too (`keep`), linked to
        that one, which alone is searched (`link`), or a failure (`reject`). A picture that cannot be read or taken in
        is listed in the job's `failures`; a broken connection is taken up again. Ingesting the same pictures again
        passes over what is there already.
        """
        run = IngestRun(
            self._ingest_stub().Ingest,
            requests.ingest_open(collection, on_existing, wait, on_duplicate),
            read_sources(sources, attributes),
            limits or IngestLimits(),
            lambda ended: self._tokens.remember(collection, ended.token),
        )
        self._runs.add(run)
        run.start()
        return AsyncIngestJob(run)

    async def ingest_uri(
        self,
        collection: str,
        uri_prefix: str,
        *,
        on_existing: OnExisting | str = OnExisting.REPLACE,
        on_duplicate: OnDuplicate | str = OnDuplicate.KEEP,
        idempotency_key: str | None = None,
    ) -> AsyncUriJob:
        """Have the server take in every picture under a prefix it allows. The same `idempotency_key` again returns the
        job made the first time. Raises CollectionNotFound, UriNotAllowed."""
        key = idempotency_key or str(uuid.uuid4())
        request = requests.create_ingest(collection, uri_prefix, on_existing, key, on_duplicate)
        return AsyncUriJob(self, answers.job_info((await self._call(self._jobs.CreateIngest, request)).job))

    async def get_image(self, collection: str, image_id: str, *, regions: bool = False) -> ImageInfo:
        """Return what is known of an image, with the objects found in it if `regions`. Raises ImageNotFound."""
        request = requests.get_image(collection, image_id, regions=regions)
        return answers.image((await self._call(self._images.GetImage, request)).image)

    async def delete_images(self, collection: str, image_ids: Iterable[str]) -> DeleteResult:
        """Delete images by id, up to 10,000; one that is not there is counted. Where an answer was lost and the call
        sent again, that goes for those that the first one deleted."""
        request = requests.delete_images(collection, image_ids)
        result = answers.delete_result(await self._call(self._images.DeleteImages, request))
        self._tokens.remember(collection, result.token)
        return result

    async def get_content(self, collection: str, image_id: str, *, thumbnail: bool = False) -> bytes:
        """Return a picture as it was taken in, or a JPEG of at most 256 pixels a side. Raises ImageNotFound."""
        request = requests.get_content(collection, image_id, thumbnail=thumbnail)
        return (await self._call(self._images.GetContent, request)).content

    async def get_job(self, job_id: str) -> JobInfo:
        """Return a job. Raises JobNotFound."""
        return answers.job_info((await self._call(self._jobs.GetJob, requests.get_job(job_id))).job)

    async def list_jobs(self, collection: str = "") -> AsyncIterator[JobInfo]:
        """Yield jobs, the newest first, of one collection or of all."""
        async for page in self._pages(self._jobs.ListJobs, requests.list_jobs(collection)):
            for item in page.jobs:
                yield answers.job_info(item)

    async def watch_job(self, job_id: str) -> AsyncIterator[JobInfo]:
        """Yield a job now and at every change until it has ended. Raises JobNotFound."""
        try:
            async for response in self._jobs.WatchJob(requests.watch_job(job_id)):
                job = answers.job_info(response.job)
                self._tokens.remember(job.collection, job.token)
                yield job
        except grpc.RpcError as error:
            raise client_error(error, self._address) from error

    async def failures(self, job_id: str) -> AsyncIterator[Failure]:
        """Yield a job's failed items, by ordinal."""
        async for page in self._pages(self._jobs.ListFailures, requests.list_failures(job_id)):
            for item in page.failures:
                yield answers.failure(item)

    def _ingest_stub(self) -> ImageServiceStub:
        """Ingest reads files and so has threads of its own, with a channel to match."""
        if self._ingest_channel is None:
            self._ingest_channel = grpc.insecure_channel(self._address, options=channel_options(self._address))
        return ImageServiceStub(self._ingest_channel)
