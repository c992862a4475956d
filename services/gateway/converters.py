"""Messages of the public API from and to plain values."""

from collections.abc import Sequence

from pixvec.api.v1 import (
    collection_service_pb2,
    image_service_pb2,
    job_service_pb2,
)
from pixvec.catalogue.interfaces import DeletedImages, ItemStatus
from pixvec.domain import Collection, Image, Job, Region
from pixvec.rpc.attributes import to_values
from pixvec.rpc.conversions import (
    image_state_to_wire,
    item_error_to_wire,
    job_state_to_wire,
    metric_from_wire,
    position_to_wire,
    stage_to_wire,
    time_to_wire,
    token_to_wire,
)
from pixvec.rpc.index_settings import index_from_wire
from pixvec.rpc.models import job_kind_to_wire, training_to_wire
from pixvec.rpc.regions import region_settings_from_wire, region_to_wire
from pixvec.rpc.spaces import regions_to_wire, spaces_to_wire
from services.gateway.new_spaces import IMAGE_SPACE, NewRegions, NewSpace, NewSpaces


def to_collection(collection: Collection, image_count: int) -> collection_service_pb2.Collection:
    """Return a collection as it travels."""
    return collection_service_pb2.Collection(
        name=collection.name,
        spaces=spaces_to_wire(collection.spaces),
        shard_count=collection.shard_count,
        image_count=image_count,
        create_time=time_to_wire(collection.created_at),
        regions=regions_to_wire(collection),
    )


def to_new_spaces(request: collection_service_pb2.CreateCollectionRequest) -> NewSpaces:
    """Return the spaces that a new collection is to have."""
    image = NewSpace(
        IMAGE_SPACE, request.model or "auto", metric_from_wire(request.metric), index_from_wire(request.index)
    )
    further = [
        NewSpace(space.name, space.model, metric_from_wire(space.metric), index_from_wire(space.index))
        for space in request.spaces
    ]
    regions = None
    if request.HasField("regions"):
        regions = NewRegions(region_settings_from_wire(request.regions), index_from_wire(request.regions.index))
    return NewSpaces(image, further, regions)


def to_image(image: Image, regions: Sequence[Region] = ()) -> image_service_pb2.Image:
    """Return an image as it travels, with those of its regions that are given."""
    return image_service_pb2.Image(
        image_id=image.image_id,
        state=image_state_to_wire(image.state),
        width=image.width,
        height=image.height,
        format=image.format,
        size_bytes=image.size_bytes,
        content_hash=image.content_hash,
        attributes=to_values(image.attributes),
        create_time=time_to_wire(image.created_at),
        update_time=time_to_wire(image.updated_at),
        error=item_error_to_wire(image.error) if image.error else None,
        duplicate_of=image.duplicate_of,
        regions=[region_to_wire(region, image.image_id) for region in regions],
    )


def to_delete_response(deleted: DeletedImages) -> image_service_pb2.DeleteImagesResponse:
    """Return what a delete did, as it travels."""
    return image_service_pb2.DeleteImagesResponse(
        deleted=deleted.deleted, not_found=deleted.not_found, token=token_to_wire(deleted.token)
    )


def to_statuses(statuses: Sequence[ItemStatus]) -> image_service_pb2.IngestResponse:
    """Return how items stand, as it travels."""
    converted = [_to_status(status) for status in statuses]
    return image_service_pb2.IngestResponse(statuses=image_service_pb2.IngestStatuses(statuses=converted))


def to_opened(job_id: str) -> image_service_pb2.IngestResponse:
    """Return the first message of a stream."""
    return image_service_pb2.IngestResponse(opened=image_service_pb2.IngestOpened(job_id=job_id))


def to_job(job: Job) -> job_service_pb2.Job:
    """Return a job as it travels."""
    return job_service_pb2.Job(
        job_id=job.job_id,
        collection=job.collection,
        state=job_state_to_wire(job.state),
        total=job.total,
        queued=job.queued,
        decoded=job.decoded,
        embedded=job.embedded,
        indexed=job.indexed,
        failed=job.failed,
        create_time=time_to_wire(job.created_at),
        end_time=time_to_wire(job.ended_at) if job.ended_at else None,
        error=item_error_to_wire(job.error) if job.error else None,
        token=token_to_wire(job.token),
        kind=job_kind_to_wire(job.kind),
        training=training_to_wire(job.training) if job.training else None,
    )


def to_failure(failure: tuple[ItemStatus, str]) -> job_service_pb2.ItemFailure:
    """Return a failed item with its URI, as it travels."""
    status, uri = failure
    return job_service_pb2.ItemFailure(
        ordinal=status.ordinal,
        image_id=status.image_id,
        uri=uri,
        error=item_error_to_wire(status.error) if status.error else None,
    )


def _to_status(status: ItemStatus) -> image_service_pb2.IngestItemStatus:
    return image_service_pb2.IngestItemStatus(
        ordinal=status.ordinal,
        image_id=status.image_id,
        stage=stage_to_wire(status.stage),
        error=item_error_to_wire(status.error) if status.error else None,
        position=position_to_wire(status.position) if status.position else None,
        unchanged=status.unchanged,
        duplicate_of=status.duplicate_of,
    )
