"""A search's arguments into its request."""

import os
from collections.abc import Iterable

from pixvec.api.v1 import search_service_pb2
from pixvec.client.arguments import BoxLike, check_size, choice, not_negative, number, text, texts
from pixvec.client.arguments import box as to_box
from pixvec.client.fusing import FuseLike, to_fusion
from pixvec.client.parts import Part, PictureLike, read_picture, to_combination
from pixvec.client.vectors import MatrixLike, VectorLike, pack_vector, pack_vectors
from pixvec.domain import Consistency, SearchOptions, SeqToken
from pixvec.errors import InvalidRequest
from pixvec.fusion import FusionMethod
from pixvec.rpc.conversions import consistency_to_wire, params_to_wire, token_to_wire
from pixvec.rpc.regions import box_to_wire


def query_request(
    collection: str,
    image: PictureLike | None,
    image_id: str | None,
    vector: VectorLike | None,
    *,
    region_id: str | None,
    box: BoxLike | None,
    by_text: str | None,
    combine: Iterable[Part] | None,
    space: str,
    fuse: FuseLike | None,
    fuse_method: FusionMethod | str,
    rrf_k: int,
    limit: int,
    offset: int,
    min_score: float | None,
    attributes: bool,
    regions: bool,
    masks: bool,
    match: bool,
    options: SearchOptions,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryRequest:
    """Build a search by exactly one of `image`, `image_id`, `region_id`, `by_text`, `vector` and `combine`. Raises
    InvalidRequest, InvalidVector, and OSError for a picture file that cannot be read."""
    if box is not None and image is None and image_id is None:
        raise InvalidRequest("a box needs the picture that it is drawn on: image or image_id", field="box")
    if fuse is not None and (space or box is not None or region_id is not None):
        raise _not_fusible()
    request = search_service_pb2.QueryRequest(
        collection=text("collection", collection),
        space=text("space", space),
        limit=not_negative("limit", limit),
        offset=not_negative("offset", offset),
        params=params_to_wire(options),
    )
    _search_by(request, image, image_id, vector, region_id, by_text, combine)
    if box is not None:
        request.box.CopyFrom(box_to_wire(to_box("box", box)))
    if fuse is not None:
        request.fusion.CopyFrom(to_fusion(fuse, fuse_method, rrf_k))
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    _include(request, attributes=attributes, regions=regions, masks=masks, match=match)
    _ask_consistency(request, consistency, token)
    return request


def _not_fusible() -> InvalidRequest:
    return InvalidRequest(
        "fuse names the spaces to search, by more than a part of a picture: leave space, box and region_id out",
        field="fuse",
    )


def _search_by(
    request: search_service_pb2.QueryRequest,
    image: PictureLike | None,
    image_id: str | None,
    vector: VectorLike | None,
    region_id: str | None,
    by_text: str | None,
    combine: Iterable[Part] | None,
) -> None:
    """Put in what is searched by, of which exactly one is given."""
    if sum(given is not None for given in (image, image_id, region_id, by_text, vector, combine)) != 1:
        raise InvalidRequest(
            "search needs exactly one of image, image_id, region_id, text, vector and combine", field="query"
        )
    if vector is not None:
        request.vector.data = pack_vector(vector)
    elif image_id is not None:
        request.image_id = text("image_id", image_id)
    elif region_id is not None:
        request.region_id = text("region_id", region_id)
    elif by_text is not None:
        request.text = text("text", by_text)
    elif combine is not None:
        request.combination.CopyFrom(to_combination(combine))
    elif image is not None:
        request.image = read_picture(image)


def scene_request(
    collection: str,
    image: PictureLike | None,
    image_id: str | None,
    *,
    max_objects: int,
    limit: int,
    min_score: float | None,
    attributes: bool,
    regions: bool,
    masks: bool,
    options: SearchOptions,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QuerySceneRequest:
    """Build a search for all objects of exactly one of `image` and `image_id`. Raises InvalidRequest, and OSError for a
    picture file that cannot be read."""
    if (image is None) == (image_id is None):
        raise InvalidRequest("a scene needs exactly one of image and image_id", field="query")
    request = search_service_pb2.QuerySceneRequest(
        collection=text("collection", collection),
        max_objects=not_negative("max_objects", max_objects),
        limit=not_negative("limit", limit),
        params=params_to_wire(options),
    )
    if image_id is not None:
        request.image_id = text("image_id", image_id)
    elif image is not None:
        request.image = read_picture(image)
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    _include(request, attributes=attributes, regions=regions, masks=masks)
    _ask_consistency(request, consistency, token)
    return request


def batch_request(
    collection: str,
    images: Iterable[PictureLike] | None,
    image_ids: Iterable[str] | None,
    vectors: MatrixLike | None,
    *,
    by_texts: Iterable[str] | None,
    space: str,
    limit: int,
    min_score: float | None,
    options: SearchOptions,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.QueryBatchRequest:
    """Build a batch of searches by exactly one of `images`, `image_ids`, `by_texts` and `vectors`. Raises
    InvalidRequest, InvalidVector, and OSError for a picture file that cannot be read."""
    if sum(given is not None for given in (images, image_ids, by_texts, vectors)) != 1:
        raise InvalidRequest("search_batch needs exactly one of images, image_ids, texts and vectors", field="queries")
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
    elif by_texts is not None:
        request.texts.texts.extend(texts("texts", by_texts))
    elif images is not None:
        request.images.contents.extend(read_pictures(images))
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    _ask_consistency(request, consistency, token)
    return request


def read_pictures(images: Iterable[PictureLike]) -> list[bytes]:
    """Return the bytes of pictures, as `read_picture` does, that go in one message. Raises InvalidRequest for one
    alone: the letters of its name are not meant."""
    if isinstance(images, bytes | bytearray | str | os.PathLike):
        raise InvalidRequest("images must be several pictures: put the one in a list", field="images")
    contents = [read_picture(image) for image in images]
    check_size("the batch of pictures", sum(map(len, contents)))
    return contents


def classify_request(
    collection: str,
    labels: Iterable[str],
    images: Iterable[PictureLike] | None,
    image_ids: Iterable[str] | None,
    *,
    templates: Iterable[str],
    space: str,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.ClassifyRequest:
    """Build the question of which labels pictures are. Raises InvalidRequest, and OSError for a picture file that
    cannot be read."""
    if (images is None) == (image_ids is None):
        raise InvalidRequest("classify needs exactly one of images and image_ids", field="pictures")
    request = search_service_pb2.ClassifyRequest(
        collection=text("collection", collection),
        labels=texts("labels", labels),
        templates=texts("templates", templates),
        space=text("space", space),
    )
    if images is not None:
        request.images.contents.extend(read_pictures(images))
    elif image_ids is not None:
        request.image_ids.ids.extend(texts("image_ids", image_ids))
    _ask_consistency(request, consistency, token)
    return request


def duplicates_request(
    collection: str,
    image: PictureLike | None,
    image_id: str | None,
    *,
    limit: int,
    min_score: float | None,
    consistency: Consistency | str,
    token: SeqToken,
) -> search_service_pb2.FindDuplicatesRequest:
    """Build a search for copies of exactly one of `image` and `image_id`. Raises InvalidRequest, and OSError for a
    picture file that cannot be read."""
    if (image is None) == (image_id is None):
        raise InvalidRequest("duplicates are of exactly one of image and image_id", field="query")
    request = search_service_pb2.FindDuplicatesRequest(
        collection=text("collection", collection), limit=not_negative("limit", limit)
    )
    if image_id is not None:
        request.image_id = text("image_id", image_id)
    elif image is not None:
        request.image = read_picture(image)
    if min_score is not None:
        request.min_score = number("min_score", min_score)
    _ask_consistency(request, consistency, token)
    return request


def _include(
    request: search_service_pb2.QueryRequest | search_service_pb2.QuerySceneRequest,
    *,
    attributes: bool,
    regions: bool,
    masks: bool,
    match: bool = False,
) -> None:
    # An empty message is one too, and asks for nothing.
    if attributes:
        request.include.attributes = True
    if regions or masks:
        request.include.regions = True
    if masks:
        request.include.masks = True
    if match:
        request.include.match = True


def _ask_consistency(
    request: search_service_pb2.QueryRequest
    | search_service_pb2.QuerySceneRequest
    | search_service_pb2.QueryBatchRequest
    | search_service_pb2.ClassifyRequest
    | search_service_pb2.FindDuplicatesRequest,
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
