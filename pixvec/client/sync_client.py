"""The client for programs without an event loop."""

import uuid
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import grpc

from pixvec.api.v1.collection_service_pb2_grpc import CollectionServiceStub
from pixvec.api.v1.image_service_pb2_grpc import ImageServiceStub
from pixvec.api.v1.job_service_pb2_grpc import JobServiceStub
from pixvec.client import answers, requests
from pixvec.client.admin import Admin
from pixvec.client.channel import CREATE_TIMEOUT_S, DEFAULT_ADDRESS, channel_options
from pixvec.client.failures import client_error
from pixvec.client.ingest_run import IngestLimits, IngestRun
from pixvec.client.jobs import IngestJob, UriJob
from pixvec.client.models import Models
from pixvec.client.new_collections import Regions, Spaces, create_collection
from pixvec.client.searches import Searches
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


class Client(Searches):
    """Speaks to a pixvec gateway. Any number of threads may share one client; close it, or use it in a `with`.

    A client sees its own writes: it remembers where in the change feed they went, and its searches wait for that place.
    Every error is one of `pixvec.errors`. Calls that may be repeated are, while the server cannot be reached.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = 30.0) -> None:
        self._channel = grpc.insecure_channel(address, options=channel_options(address))
        super().__init__(address, timeout_s, self._channel)
        self._collections = CollectionServiceStub(self._channel)
        self._images = ImageServiceStub(self._channel)
        self._jobs = JobServiceStub(self._channel)
        self._admin = Admin(self._channel, self._call, self._tokens)
        self._models = Models(self._channel, self._call, self)
        self._runs: weakref.WeakSet[IngestRun] = weakref.WeakSet()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what is being sent and close the connection."""
        for run in list(self._runs):
            run.cancel()
        self._channel.close()

    @property
    def admin(self) -> Admin:
        """Snapshots of collections, and how everything stands: for those who run a deployment."""
        return self._admin

    @property
    def models(self) -> Models:
        """What makes vectors, and jobs that fit some on a collection's pictures."""
        return self._models

    def create_collection(
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
        response = self._call(self._collections.CreateCollection, request, CREATE_TIMEOUT_S)
        self._tokens.forget(name)
        return answers.collection_info(response.collection, response.model_choice)

    def get_collection(self, name: str) -> CollectionInfo:
        """Return a collection. Raises CollectionNotFound."""
        request = requests.get_collection(name)
        return answers.collection_info(self._call(self._collections.GetCollection, request).collection)

    def list_collections(self) -> Iterator[CollectionInfo]:
        """Yield every collection, by name."""
        for page in self._pages(self._collections.ListCollections, requests.list_collections()):
            yield from map(answers.collection_info, page.collections)

    def update_collection(
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
        return answers.collection_info((self._call(self._collections.UpdateCollection, request)).collection)

    def delete_collection(self, name: str) -> None:
        """Delete a collection with all its images. Raises CollectionNotFound."""
        self._call(self._collections.DeleteCollection, requests.delete_collection(name))
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
    ) -> IngestJob:
        """Send pictures in the background: files, folders, (id, bytes) pairs or NewImage values, read as needed.

        `attributes` is given to every picture, or called with its id. `wait` is the stage at which a picture counts as
        done. `on_duplicate`: a picture that the collection holds under another id is taken in too (`keep`), linked to
        that one, which alone is searched (`link`), or a failure (`reject`). A picture that cannot be read or taken in
        is listed in the job's `failures`; a broken connection is taken up again. Ingesting the same pictures again
        passes over what is there already.
        """
        run = IngestRun(
            self._images.Ingest,
            requests.ingest_open(collection, on_existing, wait, on_duplicate),
            read_sources(sources, attributes),
            limits or IngestLimits(),
            lambda ended: self._tokens.remember(collection, ended.token),
        )
        self._runs.add(run)
        run.start()
        return IngestJob(run)

    def ingest_uri(
        self,
        collection: str,
        uri_prefix: str,
        *,
        on_existing: OnExisting | str = OnExisting.REPLACE,
        on_duplicate: OnDuplicate | str = OnDuplicate.KEEP,
        idempotency_key: str | None = None,
    ) -> UriJob:
        """Have the server take in every picture under a prefix it allows. The same `idempotency_key` again returns the
        job made the first time. Raises CollectionNotFound, UriNotAllowed."""
        key = idempotency_key or str(uuid.uuid4())
        request = requests.create_ingest(collection, uri_prefix, on_existing, key, on_duplicate)
        return UriJob(self, answers.job_info(self._call(self._jobs.CreateIngest, request).job))

    def get_image(self, collection: str, image_id: str, *, regions: bool = False) -> ImageInfo:
        """Return what is known of an image, with the objects found in it if `regions`. Raises ImageNotFound."""
        request = requests.get_image(collection, image_id, regions=regions)
        return answers.image(self._call(self._images.GetImage, request).image)

    def delete_images(self, collection: str, image_ids: Iterable[str]) -> DeleteResult:
        """Delete images by id, up to 10,000; one that is not there is counted. Where an answer was lost and the call
        sent again, that goes for those that the first one deleted."""
        request = requests.delete_images(collection, image_ids)
        result = answers.delete_result(self._call(self._images.DeleteImages, request))
        self._tokens.remember(collection, result.token)
        return result

    def get_content(self, collection: str, image_id: str, *, thumbnail: bool = False) -> bytes:
        """Return a picture as it was taken in, or a JPEG of at most 256 pixels a side. Raises ImageNotFound."""
        request = requests.get_content(collection, image_id, thumbnail=thumbnail)
        return self._call(self._images.GetContent, request).content

    def get_job(self, job_id: str) -> JobInfo:
        """Return a job. Raises JobNotFound."""
        return answers.job_info(self._call(self._jobs.GetJob, requests.get_job(job_id)).job)

    def list_jobs(self, collection: str = "") -> Iterator[JobInfo]:
        """Yield jobs, the newest first, of one collection or of all."""
        for page in self._pages(self._jobs.ListJobs, requests.list_jobs(collection)):
            yield from map(answers.job_info, page.jobs)

    def watch_job(self, job_id: str) -> Iterator[JobInfo]:
        """Yield a job now and at every change until it has ended. Raises JobNotFound."""
        try:
            for response in self._jobs.WatchJob(requests.watch_job(job_id)):
                job = answers.job_info(response.job)
                self._tokens.remember(job.collection, job.token)
                yield job
        except grpc.RpcError as error:
            raise client_error(error, self._address) from error

    def failures(self, job_id: str) -> Iterator[Failure]:
        """Yield a job's failed items, by ordinal."""
        for page in self._pages(self._jobs.ListFailures, requests.list_failures(job_id)):
            yield from map(answers.failure, page.failures)
