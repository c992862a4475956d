"""The public services over the fake store."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import grpc
from google.protobuf.message import Message

from pixvec.api.v1 import collection_service_pb2, common_pb2, image_service_pb2, job_service_pb2
from pixvec.api.v1.collection_service_pb2_grpc import CollectionServiceServicer
from pixvec.api.v1.image_service_pb2_grpc import ImageServiceServicer
from pixvec.api.v1.job_service_pb2_grpc import JobServiceServicer
from pixvec.client.testing.regions import region_space, regions_of
from pixvec.client.testing.store import DIM, Store, StoredCollection, StoredJob
from pixvec.client.testing.trainings import train
from pixvec.errors import SpaceNotFound, Unavailable
from pixvec.rpc.index_settings import index_change, index_from_wire, index_to_wire


class Faults(Protocol):
    """What the servicers need of the server."""

    def answering(self, method: str, request: Message, context: grpc.ServicerContext) -> AbstractContextManager[Store]:
        """Note the request; give the store out under its lock; turn errors into statuses."""

    def next_break(self) -> int | None:
        """Return after how many items the stream that just opened has to break."""


class Servicer:
    """Base of the fake services."""

    def __init__(self, server: Faults) -> None:
        self._server = server


class FakeCollections(Servicer, CollectionServiceServicer):
    """Collections."""

    def CreateCollection(
        self, request: collection_service_pb2.CreateCollectionRequest, context: grpc.ServicerContext
    ) -> collection_service_pb2.CreateCollectionResponse:
        """Add a collection."""
        with self._server.answering("CreateCollection", request, context) as store:
            model = "fake" if request.model in ("", "auto") else request.model
            space = collection_service_pb2.Space(
                name="image",
                model=model,
                dim=DIM,
                metric=request.metric or common_pb2.METRIC_COSINE,
                digest="0" * 64,
                index=index_to_wire(index_from_wire(request.index)),
                takes_text=True,
            )
            message = collection_service_pb2.Collection(
                name=request.collection, spaces=[space], shard_count=request.shard_count or 1
            )
            message.spaces.extend(map(_further_space, request.spaces))
            if request.HasField("regions"):
                message.regions.CopyFrom(request.regions)
                message.spaces.append(region_space(request.regions))
            created = store.create(message)
            choice = "fake: there is no other." if request.model in ("", "auto") else ""
            return collection_service_pb2.CreateCollectionResponse(collection=created.message, model_choice=choice)

    def GetCollection(
        self, request: collection_service_pb2.GetCollectionRequest, context: grpc.ServicerContext
    ) -> collection_service_pb2.GetCollectionResponse:
        """Return a collection."""
        with self._server.answering("GetCollection", request, context) as store:
            return collection_service_pb2.GetCollectionResponse(
                collection=_counted(store.collection(request.collection))
            )

    def ListCollections(
        self, request: collection_service_pb2.ListCollectionsRequest, context: grpc.ServicerContext
    ) -> collection_service_pb2.ListCollectionsResponse:
        """Return collections by name."""
        with self._server.answering("ListCollections", request, context) as store:
            found = [
                _counted(store.collections[name]) for name in sorted(store.collections) if name > request.page_token
            ]
            page = found[: request.page_size or 100]
            token = page[-1].name if len(page) < len(found) else ""
            return collection_service_pb2.ListCollectionsResponse(collections=page, next_page_token=token)

    def UpdateCollection(
        self, request: collection_service_pb2.UpdateCollectionRequest, context: grpc.ServicerContext
    ) -> collection_service_pb2.UpdateCollectionResponse:
        """Note other index settings."""
        with self._server.answering("UpdateCollection", request, context) as store:
            collection = store.collection(request.collection)
            changed = [space for space in collection.message.spaces if request.space in ("", space.name)]
            if not changed:
                known = ", ".join(space.name for space in collection.message.spaces)
                raise SpaceNotFound(f"no space {request.space!r}; the collection has {known}", field="space")
            change = index_change(request.index, request.update_mask.paths)
            for space in changed:
                space.index.CopyFrom(index_to_wire(change(index_from_wire(space.index))))
            return collection_service_pb2.UpdateCollectionResponse(collection=_counted(collection))

    def DeleteCollection(
        self, request: collection_service_pb2.DeleteCollectionRequest, context: grpc.ServicerContext
    ) -> collection_service_pb2.DeleteCollectionResponse:
        """Drop a collection."""
        with self._server.answering("DeleteCollection", request, context) as store:
            store.collection(request.collection)
            del store.collections[request.collection]
            return collection_service_pb2.DeleteCollectionResponse()


def _counted(collection: StoredCollection) -> collection_service_pb2.Collection:
    collection.message.image_count = len(collection.images)
    return collection.message


class FakeImages(Servicer, ImageServiceServicer):
    """Images."""

    def Ingest(
        self, request_iterator: Iterator[image_service_pb2.IngestRequest], context: grpc.ServicerContext
    ) -> Iterator[image_service_pb2.IngestResponse]:
        """Take items in one by one, each to its end."""
        opening = next(request_iterator).open
        with self._server.answering("Ingest", opening, context) as store:
            job = (
                store.job(opening.job_id)
                if opening.job_id
                else store.create_job(opening.collection, opening.on_duplicate)
            )
        left = self._server.next_break()
        opened = image_service_pb2.IngestOpened(job_id=job.message.job_id)
        yield image_service_pb2.IngestResponse(opened=opened)
        if job.statuses:
            yield _statuses(list(job.statuses.values()))
        for request in request_iterator:
            with self._server.answering("IngestItem", request.item, context) as store:
                status = store.take_in(job, request.item)
                left = None if left is None else left - 1
                if left == 0:
                    raise Unavailable("the fake server broke this stream, as it was told to")
            yield _statuses([status])
        with self._server.answering("IngestEnd", opening, context) as store:
            store.end(job)

    def GetImage(
        self, request: image_service_pb2.GetImageRequest, context: grpc.ServicerContext
    ) -> image_service_pb2.GetImageResponse:
        """Return an image."""
        with self._server.answering("GetImage", request, context) as store:
            image = store.image(request.collection, request.image_id)
            response = image_service_pb2.GetImageResponse(image=image.message)
            if request.include_regions:
                regions = regions_of(image.content, request.image_id, with_masks=True)
                response.image.regions.extend(regions)
            return response

    def DeleteImages(
        self, request: image_service_pb2.DeleteImagesRequest, context: grpc.ServicerContext
    ) -> image_service_pb2.DeleteImagesResponse:
        """Drop images."""
        with self._server.answering("DeleteImages", request, context) as store:
            collection = store.collection(request.collection)
            gone = [collection.images.pop(image_id, None) for image_id in request.image_ids]
            deleted = sum(image is not None for image in gone)
            collection.seq += deleted
            position = common_pb2.ShardPosition(shard=0, epoch=collection.epoch, seq=collection.seq)
            return image_service_pb2.DeleteImagesResponse(
                deleted=deleted, not_found=len(gone) - deleted, token=common_pb2.SeqToken(positions=[position])
            )

    def GetContent(
        self, request: image_service_pb2.GetContentRequest, context: grpc.ServicerContext
    ) -> image_service_pb2.GetContentResponse:
        """Return the bytes that were taken in, as a thumbnail too."""
        with self._server.answering("GetContent", request, context) as store:
            image = store.image(request.collection, request.image_id)
            return image_service_pb2.GetContentResponse(content=image.content, media_type="image/jpeg")


def _statuses(statuses: list[image_service_pb2.IngestItemStatus]) -> image_service_pb2.IngestResponse:
    return image_service_pb2.IngestResponse(statuses=image_service_pb2.IngestStatuses(statuses=statuses))


class FakeJobs(Servicer, JobServiceServicer):
    """Jobs. A job by URI ends at once, having found nothing."""

    def CreateIngest(
        self, request: job_service_pb2.CreateIngestRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.CreateIngestResponse:
        """Return a job that has ended."""
        with self._server.answering("CreateIngest", request, context) as store:
            job = store.create_job(request.collection)
            store.end(job)
            return job_service_pb2.CreateIngestResponse(job=job.message)

    def CreateTraining(
        self, request: job_service_pb2.CreateTrainingRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.CreateTrainingResponse:
        """Return a training that has ended."""
        with self._server.answering("CreateTraining", request, context) as store:
            return job_service_pb2.CreateTrainingResponse(job=train(store, request))

    def GetJob(
        self, request: job_service_pb2.GetJobRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.GetJobResponse:
        """Return a job."""
        with self._server.answering("GetJob", request, context) as store:
            return job_service_pb2.GetJobResponse(job=store.job(request.job_id).message)

    def ListJobs(
        self, request: job_service_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.ListJobsResponse:
        """Return jobs, the newest first."""
        with self._server.answering("ListJobs", request, context) as store:
            jobs = [job.message for job in reversed(store.jobs.values())]
            found = [job for job in jobs if request.collection in ("", job.collection)]
            return job_service_pb2.ListJobsResponse(jobs=found)

    def WatchJob(
        self, request: job_service_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[job_service_pb2.WatchJobResponse]:
        """Send the job as it is."""
        with self._server.answering("WatchJob", request, context) as store:
            job = store.job(request.job_id)
        yield job_service_pb2.WatchJobResponse(job=job.message)

    def ListFailures(
        self, request: job_service_pb2.ListFailuresRequest, context: grpc.ServicerContext
    ) -> job_service_pb2.ListFailuresResponse:
        """Return failed items."""
        with self._server.answering("ListFailures", request, context) as store:
            return job_service_pb2.ListFailuresResponse(failures=_failures(store.job(request.job_id)))


def _failures(job: StoredJob) -> Iterator[job_service_pb2.ItemFailure]:
    for ordinal, status in sorted(job.statuses.items()):
        if status.HasField("error"):
            yield job_service_pb2.ItemFailure(ordinal=ordinal, image_id=status.image_id, error=status.error)


def _further_space(wanted: collection_service_pb2.SpaceSettings) -> collection_service_pb2.Space:
    return collection_service_pb2.Space(
        name=wanted.name,
        model=wanted.model,
        dim=DIM,
        metric=wanted.metric,
        digest="0" * 64,
        index=index_to_wire(index_from_wire(wanted.index)),
        kind=collection_service_pb2.SPACE_KIND_IMAGE,
    )
