"""A search's arguments into its request."""

import os
from collections.abc import Iterable
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2
from pixvec.client.arguments import check_size, choice, not_negative, number, text, texts
from pixvec.client.files import read_file
from pixvec.client.vectors import MatrixLike, VectorLike, pack_vector, pack_vectors
from pixvec.domain import Consistency, SearchOptions, SeqToken
from pixvec.errors import InvalidRequest
from pixvec.rpc.conversions import consistency_to_wire, params_to_wire, token_to_wire

PictureLike: TypeAlias = bytes | bytearray | str | os.PathLike[str]


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
    options: SearchOptions,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryRequest:
    """Build a search by exactly one of `image`, `image_id` and `vector`. Raises InvalidRequest, InvalidVector, and
    OSError for a picture file that cannot be read."""
    if (image is not None) + (image_id is not None) + (vector is not None) != 1:
        raise InvalidRequest("search needs exactly one of image, image_id and vector", field="query")
    request = search_service_pb2.QueryRequest(
        collection=text("collection", collection),
        space=text("space", space),
        limit=not_negative("limit", limit),
        offset=not_negative("offset", offset),
        params=params_to_wire(options),
    )
    if vector is not None:
        request.vector.data = pack_vector(vector)
    elif image_id is not None:
        request.image_id = text("image_id", image_id)
    elif image is not None:
        request.image = read_picture(image)
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    if attributes:
        request.include.attributes = True
    _ask_consistency(request, consistency, token)
    return request


def batch_request(
    collection: str,
    images: Iterable[PictureLike] | None,
    image_ids: Iterable[str] | None,
    vectors: MatrixLike | None,
    *,
    space: str,
    limit: int,
    min_score: float | None,
    options: SearchOptions,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryBatchRequest:
    """Build a batch of searches by exactly one of `images`, `image_ids` and `vectors`. Raises InvalidRequest,
    InvalidVector, and OSError for a picture file that cannot be read."""
    if (images is not None) + (image_ids is not None) + (vectors is not None) != 1:
        raise InvalidRequest("search_batch needs exactly one of images, image_ids and vectors", field="queries")
    request = search_service_pb2.QueryBatchRequest(
        collection=text("collection", collection),
        space=text("space", space),
        limit=not_negative("limit", limit),
        params=params_to_wire(options),
    )
    if vectors is not None:
        request.vectors.data, request.vectors.dim = pack_vectors(vectors)
    elif image_ids is not None:
        request.image_ids.ids.extend(texts("image_ids", image_ids))
    elif images is not None:
        request.images.contents.extend(read_pictures(images))
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    _ask_consistency(request, consistency, token)
    return request


def read_pictures(images: Iterable[PictureLike]) -> list[bytes]:
    """Return the bytes of pictures, as `read_picture` does, that go in one message."""
    contents = [read_picture(image) for image in images]
    check_size("the batch of pictures", sum(map(len, contents)))
    return contents


def read_picture(image: PictureLike) -> bytes:
    """Return the bytes of a picture given as bytes or as the path of its file. Raises InvalidRequest for anything else,
    and as `read_file` does."""
    if isinstance(image, str | os.PathLike):
        return read_file(image, "the query picture")
    if not isinstance(image, bytes | bytearray):
        raise InvalidRequest(f"image must be the bytes or the path of a picture, not {image!r}", field="image")
    check_size("the query picture", len(image))
    return bytes(image)


def _ask_consistency(
    request: search_service_pb2.QueryRequest | search_service_pb2.QueryBatchRequest,
    consistency: Consistency | str,
    token: SeqToken,
) -> None:
    asked = choice("consistency", Consistency, consistency)
    if asked is Consistency.SESSION and not token.positions:
        # This client wrote nothing that it could wait for.
        asked = Consistency.EVENTUAL
    request.consistency = consistency_to_wire(asked)
    if asked is Consistency.SESSION:
        request.token.CopyFrom(token_to_wire(token))
