"""Arguments into requests, refusing early what can never work. Searches are in `queries`."""

from collections.abc import Iterable
from typing import Protocol

from google.protobuf.field_mask_pb2 import FieldMask

from pixvec.api.v1 import collection_service_pb2, image_service_pb2, job_service_pb2
from pixvec.client.arguments import check_message, check_size, choice, index_settings, not_negative, text, texts
from pixvec.client.files import read_file
from pixvec.client.sources import NewImage
from pixvec.domain import IndexKind, IndexSettings, IngestStage, Metric, OnDuplicate, OnExisting, VectorStorage
from pixvec.errors import InvalidRequest
from pixvec.rpc.attributes import check_attributes_size, to_values
from pixvec.rpc.conversions import metric_to_wire, on_duplicate_to_wire, on_existing_to_wire, stage_to_wire
from pixvec.rpc.index_settings import index_to_wire


class ListRequest(Protocol):
    """A request for one page of a list."""

    page_token: str


class Page(Protocol):
    """The answer to it."""

    @property
    def next_page_token(self) -> str:
        """What to ask the next page with; empty on the last one."""
        ...


def turn_page(request: ListRequest, page: Page) -> bool:
    """Make the request ask for the page after this one; False where there is none."""
    request.page_token = page.next_page_token
    return bool(page.next_page_token)


def create_collection(
    name: str, model: str, metric: Metric | str, shards: int | None, index: IndexSettings | str
) -> collection_service_pb2.CreateCollectionRequest:
    """Build the request for a new collection."""
    request = collection_service_pb2.CreateCollectionRequest(
        collection=text("name", name),
        model=text("model", model),
        metric=metric_to_wire(choice("metric", Metric, metric)),
        index=index_to_wire(index_settings(index)),
    )
    if shards is not None:
        request.shard_count = not_negative("shards", shards)
    return request


def get_collection(name: str) -> collection_service_pb2.GetCollectionRequest:
    """Build the request for a collection."""
    return collection_service_pb2.GetCollectionRequest(collection=text("name", name))


def list_collections() -> collection_service_pb2.ListCollectionsRequest:
    """Build the request for the first page of all collections."""
    return collection_service_pb2.ListCollectionsRequest()


def update_collection(
    name: str,
    space: str,
    *,
    kind: IndexKind | str | None,
    storage: VectorStorage | str | None,
    hnsw_m: int | None,
    ef_construction: int | None,
    nlist: int | None,
) -> collection_service_pb2.UpdateCollectionRequest:
    """Build the request to index a collection otherwise: what is not None changes."""
    index = index_settings(
        IndexSettings(
            choice("kind", IndexKind, kind or IndexKind.AUTO),
            choice("storage", VectorStorage, storage or VectorStorage.FLOAT16),
            hnsw_m or 0,
            ef_construction or 0,
            nlist or 0,
        )
    )
    given = {"kind": kind, "storage": storage, "hnsw_m": hnsw_m, "ef_construction": ef_construction, "nlist": nlist}
    paths = [f"index.{field}" for field, value in given.items() if value is not None]
    if not paths:
        raise InvalidRequest(f"nothing to change: give some of {', '.join(given)}", field="index")
    return collection_service_pb2.UpdateCollectionRequest(
        collection=text("name", name),
        space=text("space", space),
        index=index_to_wire(index),
        update_mask=FieldMask(paths=paths),
    )


def delete_collection(name: str) -> collection_service_pb2.DeleteCollectionRequest:
    """Build the request to delete a collection."""
    return collection_service_pb2.DeleteCollectionRequest(collection=text("name", name))


def ingest_open(
    collection: str, on_existing: OnExisting | str, wait: IngestStage | str, on_duplicate: OnDuplicate | str
) -> image_service_pb2.IngestOpen:
    """Build the first message of an ingest stream."""
    return image_service_pb2.IngestOpen(
        collection=text("collection", collection),
        on_existing=on_existing_to_wire(choice("on_existing", OnExisting, on_existing)),
        on_duplicate=on_duplicate_to_wire(choice("on_duplicate", OnDuplicate, on_duplicate)),
        wait=stage_to_wire(_stage(wait)),
    )


def ingest_item(ordinal: int, image: NewImage) -> image_service_pb2.IngestRequest:
    """Build the message of one picture, reading its file if it comes from one. Raises InvalidRequest, and as
    `read_file` does."""
    _check_id(image)
    request = image_service_pb2.IngestRequest()
    item = request.item
    item.ordinal = ordinal
    item.image_id = image.image_id
    if image.uri is not None:
        item.uri = text("uri", image.uri)
    else:
        content = image.content if image.content is not None else _read(image)
        check_size(image.image_id, len(content))
        item.content = content
    if image.attributes:
        values = to_values(image.attributes)
        # Before they are sent: far too large ones would end the stream, not the item.
        check_attributes_size(image.attributes)
        for name, value in values.items():
            item.attributes[name].CopyFrom(value)
    check_message(image.image_id[:200], request.ByteSize())
    return request


def get_image(collection: str, image_id: str, *, regions: bool) -> image_service_pb2.GetImageRequest:
    """Build the request for an image."""
    return image_service_pb2.GetImageRequest(
        collection=text("collection", collection), image_id=text("image_id", image_id), include_regions=bool(regions)
    )


def delete_images(collection: str, image_ids: Iterable[str]) -> image_service_pb2.DeleteImagesRequest:
    """Build the request to delete images."""
    return image_service_pb2.DeleteImagesRequest(
        collection=text("collection", collection), image_ids=texts("image_ids", image_ids)
    )


def get_content(collection: str, image_id: str, *, thumbnail: bool) -> image_service_pb2.GetContentRequest:
    """Build the request for a picture's bytes."""
    variant = image_service_pb2.CONTENT_VARIANT_THUMBNAIL if thumbnail else image_service_pb2.CONTENT_VARIANT_ORIGINAL
    return image_service_pb2.GetContentRequest(
        collection=text("collection", collection), image_id=text("image_id", image_id), variant=variant
    )


def create_ingest(
    collection: str,
    uri_prefix: str,
    on_existing: OnExisting | str,
    idempotency_key: str,
    on_duplicate: OnDuplicate | str,
) -> job_service_pb2.CreateIngestRequest:
    """Build the request for an ingest by reference."""
    return job_service_pb2.CreateIngestRequest(
        collection=text("collection", collection),
        uri_prefix=text("uri_prefix", uri_prefix),
        on_existing=on_existing_to_wire(choice("on_existing", OnExisting, on_existing)),
        idempotency_key=text("idempotency_key", idempotency_key),
        on_duplicate=on_duplicate_to_wire(choice("on_duplicate", OnDuplicate, on_duplicate)),
    )


def get_job(job_id: str) -> job_service_pb2.GetJobRequest:
    """Build the request for a job."""
    return job_service_pb2.GetJobRequest(job_id=text("job_id", job_id))


def list_jobs(collection: str) -> job_service_pb2.ListJobsRequest:
    """Build the request for the first page of the jobs of a collection, or of all."""
    return job_service_pb2.ListJobsRequest(collection=text("collection", collection))


def watch_job(job_id: str) -> job_service_pb2.WatchJobRequest:
    """Build the request to follow a job."""
    return job_service_pb2.WatchJobRequest(job_id=text("job_id", job_id))


def list_failures(job_id: str) -> job_service_pb2.ListFailuresRequest:
    """Build the request for the first page of a job's failures."""
    return job_service_pb2.ListFailuresRequest(job_id=text("job_id", job_id))


def _stage(wait: IngestStage | str) -> IngestStage:
    if isinstance(wait, IngestStage):
        return wait
    names = {stage.name.lower(): stage for stage in IngestStage}
    stage = names.get(wait.lower()) if isinstance(wait, str) else None
    if stage is None:
        raise InvalidRequest(f"wait must be one of {', '.join(names)}, not {wait!r}", field="wait")
    return stage


def _read(image: NewImage) -> bytes:
    if image.path is None:
        raise InvalidRequest(f"image {image.image_id!r} has no content, path or uri")
    return read_file(image.path, image.image_id)


def _check_id(image: NewImage) -> None:
    if not isinstance(image.image_id, str):
        raise InvalidRequest(f"image_id must be text, not {image.image_id!r}", field="image_id")
    try:
        image.image_id.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"the name {image.image_id!r} is not UTF-8: rename the file, or give the picture an id of its own",
            field="image_id",
        ) from None
