"""Arguments into requests, refusing early what can never work."""

import os
from pathlib import Path
from typing import TypeAlias, TypeVar

from pixvec.api.v1 import collection_service_pb2, image_service_pb2, job_service_pb2, search_service_pb2
from pixvec.client.sources import NewImage
from pixvec.client.vectors import VectorLike, pack_vector
from pixvec.domain import Consistency, IngestStage, Metric, OnExisting, SeqToken
from pixvec.errors import InvalidRequest, PictureTooLarge
from pixvec.rpc.attributes import to_values
from pixvec.rpc.channels import MAX_MESSAGE_BYTES
from pixvec.rpc.conversions import (
    consistency_to_wire,
    metric_to_wire,
    on_existing_to_wire,
    stage_to_wire,
    token_to_wire,
)

PictureLike: TypeAlias = bytes | bytearray | str | os.PathLike[str]
_Choice = TypeVar("_Choice", Metric, OnExisting, Consistency)

# What a message may hold beside the picture: id and attributes.
_ENVELOPE_BYTES = 2 * 2**20


def create_collection_request(
    name: str, model: str, metric: Metric | str, shards: int | None
) -> collection_service_pb2.CreateCollectionRequest:
    """Build the request for a new collection."""
    request = collection_service_pb2.CreateCollectionRequest(
        collection=name, model=model, metric=metric_to_wire(_choice("metric", Metric, metric))
    )
    if shards is not None:
        request.shard_count = _not_negative("shards", shards)
    return request


def ingest_open(
    collection: str, on_existing: OnExisting | str, wait: IngestStage | str
) -> image_service_pb2.IngestOpen:
    """Build the first message of an ingest stream."""
    return image_service_pb2.IngestOpen(
        collection=collection,
        on_existing=on_existing_to_wire(_choice("on_existing", OnExisting, on_existing)),
        wait=stage_to_wire(_stage(wait)),
    )


def ingest_request(ordinal: int, image: NewImage) -> image_service_pb2.IngestRequest:
    """Build the message of one picture, reading its file if it comes from one. Raises OSError, InvalidRequest, and
    PictureTooLarge for what no message can carry."""
    _check_id(image)
    request = image_service_pb2.IngestRequest()
    item = request.item
    item.ordinal = ordinal
    item.image_id = image.image_id
    if image.uri is not None:
        item.uri = image.uri
    else:
        content = image.content if image.content is not None else _read(image)
        _check_size(image.image_id, len(content))
        item.content = content
    if image.attributes:
        for name, value in to_values(image.attributes).items():
            item.attributes[name].CopyFrom(value)
    return request


def create_ingest_request(
    collection: str, uri_prefix: str, on_existing: OnExisting | str, idempotency_key: str
) -> job_service_pb2.CreateIngestRequest:
    """Build the request for an ingest by reference."""
    return job_service_pb2.CreateIngestRequest(
        collection=collection,
        uri_prefix=uri_prefix,
        on_existing=on_existing_to_wire(_choice("on_existing", OnExisting, on_existing)),
        idempotency_key=idempotency_key,
    )


def query_request(
    collection: str,
    image: PictureLike | None,
    image_id: str | None,
    vector: VectorLike | None,
    *,
    space: str,
    limit: int,
    offset: int,
    min_score: float | None,
    attributes: bool,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryRequest:
    """Build a search by exactly one of `image`, `image_id` and `vector`. Raises InvalidRequest, InvalidVector, and
    OSError for a picture file that cannot be read."""
    if (image is not None) + (image_id is not None) + (vector is not None) != 1:
        raise InvalidRequest("search needs exactly one of image, image_id and vector", field="query")
    request = search_service_pb2.QueryRequest(
        collection=collection, space=space, limit=_not_negative("limit", limit), offset=_not_negative("offset", offset)
    )
    if vector is not None:
        request.vector.data = pack_vector(vector)
    elif image_id is not None:
        request.image_id = image_id
    elif image is not None:
        request.image = read_picture(image)
    if min_score is not None:
        request.min_score = min_score
    if attributes:
        request.include.attributes = True
    _ask_consistency(request, consistency, token)
    return request


def read_picture(image: PictureLike) -> bytes:
    """Return the bytes of a picture given as bytes or as the path of its file."""
    content = bytes(image) if isinstance(image, bytes | bytearray) else Path(image).read_bytes()
    _check_size("the query picture", len(content))
    return content


def _choice(field: str, kind: type[_Choice], value: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InvalidRequest(f"{field} must be one of {known}, not {value!r}", field=field) from None


def _stage(wait: IngestStage | str) -> IngestStage:
    names = {stage.name.lower(): stage for stage in IngestStage}
    stage = names.get(wait.lower()) if isinstance(wait, str) else wait
    if stage is None:
        raise InvalidRequest(f"wait must be one of {', '.join(names)}, not {wait!r}", field="wait")
    return stage


def _ask_consistency(request: search_service_pb2.QueryRequest, consistency: Consistency | str, token: SeqToken) -> None:
    asked = _choice("consistency", Consistency, consistency)
    if asked is Consistency.SESSION and not token.positions:
        # This client wrote nothing that it could wait for.
        asked = Consistency.EVENTUAL
    request.consistency = consistency_to_wire(asked)
    if asked is Consistency.SESSION:
        request.token.CopyFrom(token_to_wire(token))


def _not_negative(field: str, value: int) -> int:
    if not 0 <= value < 2**32:
        raise InvalidRequest(f"{field} must be a number that is not negative, not {value}", field=field)
    return value


def _read(image: NewImage) -> bytes:
    if image.path is None:
        raise InvalidRequest(f"image {image.image_id!r} has no content, path or uri")
    _check_size(image.image_id, image.path.stat().st_size)
    return image.path.read_bytes()


def _check_id(image: NewImage) -> None:
    try:
        image.image_id.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(
            f"the name {image.image_id!r} is not UTF-8: rename the file, or give the picture an id of its own",
            field="image_id",
        ) from None


def _check_size(name: str, size_bytes: int) -> None:
    limit = MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
    if size_bytes > limit:
        raise PictureTooLarge(
            f"{name} has {size_bytes / 2**20:.0f} MiB, and a message carries {limit / 2**20:.0f}: shrink the picture"
        )
