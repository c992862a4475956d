"""A search's arguments into its request."""

import os
from pathlib import Path
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2
from pixvec.client.arguments import check_size, choice, not_negative
from pixvec.client.vectors import VectorLike, pack_vector
from pixvec.domain import Consistency, SeqToken
from pixvec.errors import InvalidRequest
from pixvec.rpc.conversions import consistency_to_wire, token_to_wire

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
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryRequest:
    """Build a search by exactly one of `image`, `image_id` and `vector`. Raises InvalidRequest, InvalidVector, and
    OSError for a picture file that cannot be read."""
    if (image is not None) + (image_id is not None) + (vector is not None) != 1:
        raise InvalidRequest("search needs exactly one of image, image_id and vector", field="query")
    request = search_service_pb2.QueryRequest(
        collection=collection, space=space, limit=not_negative("limit", limit), offset=not_negative("offset", offset)
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
    check_size("the query picture", len(content))
    return content


def _ask_consistency(request: search_service_pb2.QueryRequest, consistency: Consistency | str, token: SeqToken) -> None:
    asked = choice("consistency", Consistency, consistency)
    if asked is Consistency.SESSION and not token.positions:
        # This client wrote nothing that it could wait for.
        asked = Consistency.EVENTUAL
    request.consistency = consistency_to_wire(asked)
    if asked is Consistency.SESSION:
        request.token.CopyFrom(token_to_wire(token))
