"""The client for programs without an event loop."""

import uuid
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar

import grpc

from pixvec.api.v1.collection_service_pb2_grpc import CollectionServiceStub
from pixvec.api.v1.image_service_pb2_grpc import ImageServiceStub
from pixvec.api.v1.job_service_pb2_grpc import JobServiceStub
from pixvec.api.v1.search_service_pb2_grpc import SearchServiceStub
from pixvec.client import answers, requests
from pixvec.client.admin import Admin
from pixvec.client.arguments import search_options
from pixvec.client.channel import CREATE_TIMEOUT_S, DEFAULT_ADDRESS, channel_options
from pixvec.client.failures import client_error
from pixvec.client.ingest_run import IngestLimits, IngestRun
from pixvec.client.jobs import IngestJob, UriJob
from pixvec.client.parts import Part, PictureLike
from pixvec.client.queries import batch_request, classify_request, query_request
from pixvec.client.sources import AttributeSource, Sources, read_sources
from pixvec.client.tokens import SessionTokens
from pixvec.client.values import BatchResult, ClassifyResult, CollectionInfo, DeleteResult, Failure, SearchResult
from pixvec.client.vectors import MatrixLike, VectorLike
from pixvec.domain import (
    Consistency,
    Image,
    IndexKind,
    IndexSettings,
    IngestStage,
    JobInfo,
    Metric,
    OnExisting,
    VectorStorage,
)
from pixvec.errors import StaleToken

_Request = TypeVar("_Request", contravariant=True)
_Response = TypeVar("_Response", covariant=True)
_ListRequest = TypeVar("_ListRequest", bound=requests.ListRequest)
_Page = TypeVar("_Page", bound=requests.Page)


class _Method(Protocol[_Request, _Response]):
    def __call__(self, request: _Request, timeout: float | None = None) -> _Response: ...


class Client:
    """Speaks to a pixvec gateway. Any number of threads may share one client; close it, or use it in a `with`.

    A client sees its own writes: it remembers where in the change feed they went, and its searches wait for that place.
    Every error is one of `pixvec.errors`. Calls that may be repeated are, while the server cannot be reached.
    """

    def __init__(self, address: str = DEFAULT_ADDRESS, *, timeout_s: float = 30.0) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=channel_options(address))
        self._collections = CollectionServiceStub(self._channel)
        self._images = ImageServiceStub(self._channel)
        self._jobs = JobServiceStub(self._channel)
        self._search = SearchServiceStub(self._channel)
        self._tokens = SessionTokens()
        self._admin = Admin(self._channel, self._call, self._tokens)
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

    def create_collection(
        self,
        name: str,
        model: str = "auto",
        *,
        metric: Metric | str = Metric.COSINE,
        shards: int | None = None,
        index: IndexSettings | str = IndexKind.AUTO,
    ) -> CollectionInfo:
        """Create a collection; `auto` takes the best model that can be had now and says why in `model_choice`. `index`
        says how its vectors are searched: `IndexSettings`, or the name of a kind such as `hnsw`.

        Raises CollectionExists, ModelNotFound, WeightsUnavailable.
        """
        request = requests.create_collection(name, model, metric, shards, index)
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
        wait: IngestStage | str = IngestStage.INDEXED,
        limits: IngestLimits | None = None,
    ) -> IngestJob:
        """Send pictures in the background: files, folders, (id, bytes) pairs or NewImage values, read as needed.

        `attributes` is given to every picture, or called with its id. `wait` is the stage at which a picture counts as
        done. A picture that cannot be read or taken in is listed in the job's `failures`; a broken connection is taken
        up again. Ingesting the same pictures again passes over what is there already.
        """
        run = IngestRun(
            self._images.Ingest,
            requests.ingest_open(collection, on_existing, wait),
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
        idempotency_key: str | None = None,
    ) -> UriJob:
        """Have the server take in every picture under a prefix it allows. The same `idempotency_key` again returns the
        job made the first time. Raises CollectionNotFound, UriNotAllowed."""
        key = idempotency_key or str(uuid.uuid4())
        request = requests.create_ingest(collection, uri_prefix, on_existing, key)
        return UriJob(self, answers.job_info(self._call(self._jobs.CreateIngest, request).job))

    def get_image(self, collection: str, image_id: str) -> Image:
        """Return what is known of an image. Raises ImageNotFound."""
        request = requests.get_image(collection, image_id)
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

    def search(
        self,
        collection: str,
        *,
        image: PictureLike | None = None,
        image_id: str | None = None,
        text: str | None = None,
        vector: VectorLike | None = None,
        combine: Iterable[Part] | None = None,
        space: str = "",
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        attributes: bool = False,
        exact: bool = False,
        ef: int = 0,
        nprobe: int = 0,
        rescore: float = 0.0,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 10.0,
    ) -> SearchResult:
        """Find images like a picture (bytes or a file), like one of the collection, of what a text says, or near a
        vector; or like several of these at once: `combine` takes a weighted `Part` for each. A text takes a space whose
        model reads texts, such as open_clip; by default the first one.

        `exact` compares every vector. Otherwise `ef` (of a graph) and `nprobe` (of inverted lists) say how far to look,
        and `rescore` how many times `limit` candidates are compared again as they are stored, -1 for none; 0 stands for
        the default of each.

        By default the answer has seen every write of this client; `eventual` takes what each shard has now and says in
        `coverage` how many answered. Raises CollectionNotFound, ImageNotFound, InvalidVector, NoTextTower,
        PictureError, ShardUnavailable, and OSError for a file that cannot be read.
        """
        request = query_request(
            collection,
            image,
            image_id,
            vector,
            by_text=text,
            combine=combine,
            space=space,
            limit=limit,
            offset=offset,
            min_score=min_score,
            attributes=attributes,
            options=search_options(exact=exact, ef=ef, nprobe=nprobe, rescore=rescore),
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        return answers.search_result(self._fresh(collection, self._search.Query, request, timeout_s))

    def search_batch(
        self,
        collection: str,
        *,
        images: Iterable[PictureLike] | None = None,
        image_ids: Iterable[str] | None = None,
        texts: Iterable[str] | None = None,
        vectors: MatrixLike | None = None,
        space: str = "",
        limit: int = 10,
        min_score: float | None = None,
        exact: bool = False,
        ef: int = 0,
        nprobe: int = 0,
        rescore: float = 0.0,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 30.0,
    ) -> BatchResult:
        """Find images like each of up to 1,000 pictures, images, texts or vectors (rows of an array) in one call:
        quicker than one by one. `limit` times their number is at most 100,000. One that cannot be answered fails them
        all, and the error says which. See `search` for the rest.
        """
        request = batch_request(
            collection,
            images,
            image_ids,
            vectors,
            by_texts=texts,
            space=space,
            limit=limit,
            min_score=min_score,
            options=search_options(exact=exact, ef=ef, nprobe=nprobe, rescore=rescore),
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        return answers.batch_result(self._fresh(collection, self._search.QueryBatch, request, timeout_s))

    def classify(
        self,
        collection: str,
        labels: Iterable[str],
        *,
        images: Iterable[PictureLike] | None = None,
        image_ids: Iterable[str] | None = None,
        templates: Iterable[str] = (),
        space: str = "",
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 60.0,
    ) -> ClassifyResult:
        """Say of which labels up to 1,000 pictures are, sent or of the collection, without any training: by a model of
        pictures and texts, that of the collection's first space that reads texts.

        `templates` are texts with `{}` where the label goes, such as `a photo of a {}.`; left out, a few of that sort.
        Raises CollectionNotFound, ImageNotFound, NoTextTower, PictureError, and OSError for a file that cannot be read.
        """
        request = classify_request(
            collection,
            labels,
            images,
            image_ids,
            templates=templates,
            space=space,
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        response = self._fresh(collection, self._search.Classify, request, timeout_s)
        return answers.classify_result(response, request.labels)

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

    def _pages(self, method: _Method[_ListRequest, _Page], request: _ListRequest) -> Iterator[_Page]:
        while True:
            page = self._call(method, request)
            yield page
            if not requests.turn_page(request, page):
                return

    def _fresh(
        self, collection: str, method: _Method[_Request, _Response], request: _Request, timeout_s: float
    ) -> _Response:
        try:
            return self._call(method, request, timeout_s)
        except StaleToken:
            # The writes it spoke of are no longer in the feed: the next search can only ask for what there is.
            self._tokens.forget(collection)
            raise

    def _call(
        self, method: _Method[_Request, _Response], request: _Request, timeout_s: float | None = None
    ) -> _Response:
        try:
            return method(request, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise client_error(error, self._address) from error
