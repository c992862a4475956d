"""SearchService over the fake store: by brute force."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from pixvec.api.v1 import common_pb2
from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.api.v1.search_service_pb2_grpc import SearchServiceServicer
from pixvec.client.testing.duplicates import duplicates_response, match_of
from pixvec.client.testing.fusion import content_vector, fused_hits, text_vector
from pixvec.client.testing.regions import best_regions, check_regions, drawn_region, region_hit, stored_region
from pixvec.client.testing.scenes import scene_response
from pixvec.client.testing.servicers import Servicer
from pixvec.client.testing.store import DIM, Store, StoredCollection, StoredImage, cosine, embed, unpack
from pixvec.errors import InvalidVector, PixvecError, StaleToken

_Item = TypeVar("_Item")

_DEFAULT_LIMIT = 10


class FakeSearch(Servicer, SearchServiceServicer):
    """Compares with every image, however hard it is asked to search."""

    def Query(self, request: pb.QueryRequest, context: grpc.ServicerContext) -> pb.QueryResponse:
        """Answer one query."""
        with self._server.answering("Query", request, context) as store:
            collection = _fresh(store, request.collection, request.token)
            in_regions = _is_in_regions(collection, request)
            if request.HasField("fusion"):
                hits = fused_hits(collection, request, lambda space: _vector_in(store, request, space))
            else:
                hits = _region_hits(store, request) if in_regions else _hits(store, request)
            limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
            if request.include.match and (request.image or request.image_id) and not request.HasField("box"):
                _match(collection, _content(store, request), hits)
            return pb.QueryResponse(
                hits=hits[request.offset : request.offset + limit],
                coverage=pb.Coverage(shards_total=1, shards_answered=1),
                timings=pb.Timings(total=0.001, search=0.001),
                space="" if request.HasField("fusion") else "region" if in_regions else "image",
            )

    def QueryScene(self, request: pb.QuerySceneRequest, context: grpc.ServicerContext) -> pb.QuerySceneResponse:
        """Answer for each object of a picture, and for all of them."""
        with self._server.answering("QueryScene", request, context) as store:
            collection = _fresh(store, request.collection, request.token)
            content = request.image or store.image(request.collection, request.image_id).content
            return scene_response(collection, content, request)

    def FindDuplicates(
        self, request: pb.FindDuplicatesRequest, context: grpc.ServicerContext
    ) -> pb.FindDuplicatesResponse:
        """Say which pictures are copies of one."""
        with self._server.answering("FindDuplicates", request, context) as store:
            collection = _fresh(store, request.collection, request.token)
            content = request.image or store.image(request.collection, request.image_id).content
            embed(content)
            return duplicates_response(collection, content, request)

    def Classify(self, request: pb.ClassifyRequest, context: grpc.ServicerContext) -> pb.ClassifyResponse:
        """Say of which label each picture is: the likelier, the nearer its vector is to that of the label."""
        with self._server.answering("Classify", request, context) as store:
            _fresh(store, request.collection, request.token)
            return pb.ClassifyResponse(
                results=[
                    pb.Classification(
                        probabilities=_shares([cosine(each, _text_vector(label)) for label in request.labels])
                    )
                    for each in _pictures(store, request)
                ],
                exclusive=True,
                timings=pb.Timings(total=0.001, inference=0.001),
                space="image",
            )

    def QueryBatch(self, request: pb.QueryBatchRequest, context: grpc.ServicerContext) -> pb.QueryBatchResponse:
        """Answer many queries."""
        with self._server.answering("QueryBatch", request, context) as store:
            collection = _fresh(store, request.collection, request.token)
            limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
            found = [_ranked(collection, each, _min_score(request))[:limit] for each in _batch_vectors(store, request)]
            return pb.QueryBatchResponse(
                results=[
                    pb.PackedHits(
                        image_ids=[image.message.image_id for _, image in hits], scores=[score for score, _ in hits]
                    )
                    for hits in found
                ],
                coverage=pb.Coverage(shards_total=1, shards_answered=1),
                timings=pb.Timings(total=0.001, search=0.001),
                space="image",
            )


def _fresh(store: Store, name: str, token: common_pb2.SeqToken) -> StoredCollection:
    collection = store.collection(name)
    for position in token.positions:
        if position.epoch != collection.epoch:
            raise StaleToken("the token is from before the collection was made anew")
    return collection


def _is_in_regions(collection: StoredCollection, request: pb.QueryRequest) -> bool:
    if request.region_id:
        check_regions(collection, "region_id")
        return True
    is_part = request.HasField("box") and collection.message.HasField("regions")
    return request.space == "region" or (is_part and not request.space)


def _region_hits(store: Store, request: pb.QueryRequest) -> list[pb.Hit]:
    collection = store.collection(request.collection)
    if request.region_id:
        vector = stored_region(collection, request.region_id)
    elif request.HasField("box"):
        vector = drawn_region(_content(store, request), request.box)
    else:
        vector = _checked(unpack(request.vector.data))
    found = best_regions(collection, vector, _min_score(request))
    return [region_hit(score, image, ordinal, request.include) for score, image, ordinal in found]


def _hits(store: Store, request: pb.QueryRequest) -> list[pb.Hit]:
    if request.HasField("box"):
        vector = drawn_region(_content(store, request), request.box)
    else:
        vector = _query_vector(store, request)
    return [
        pb.Hit(
            image_id=image.message.image_id,
            score=score,
            attributes=image.message.attributes if request.include.attributes else None,
        )
        for score, image in _ranked(store.collection(request.collection), vector, _min_score(request))
    ]


def _vector_in(store: Store, request: pb.QueryRequest, space: str) -> Sequence[float]:
    """Return what a fusion searches for in a space."""
    kind = request.WhichOneof("query")
    if kind in ("image", "image_id"):
        return content_vector(_content(store, request), space)
    return text_vector(request.text, space) if kind == "text" else _query_vector(store, request)


def _match(collection: StoredCollection, content: bytes, hits: Sequence[pb.Hit]) -> None:
    for hit in hits:
        hit.match.CopyFrom(match_of(content, collection.images[hit.image_id].content))


def _content(store: Store, request: pb.QueryRequest) -> bytes:
    return request.image or store.image(request.collection, request.image_id).content


def _ranked(collection: StoredCollection, vector: Sequence[float], min_score: float) -> list[tuple[float, StoredImage]]:
    searched = [image for image in collection.images.values() if not image.message.duplicate_of]
    scored = [(cosine(vector, image.vector), image) for image in searched]
    kept = [each for each in scored if each[0] >= min_score]
    return sorted(kept, key=lambda each: (-each[0], each[1].message.image_id))


def _min_score(request: pb.QueryRequest | pb.QueryBatchRequest) -> float:
    return request.min_score if request.HasField("min_score") else float("-inf")


def _query_vector(store: Store, request: pb.QueryRequest) -> list[float]:
    if request.WhichOneof("query") != "combination":
        return _part_vector(store, request.collection, request)
    total = [0.0] * DIM
    for part in request.combination.parts:
        vector = _part_vector(store, request.collection, part)
        share = (part.weight if part.HasField("weight") else 1.0) / math.hypot(*vector)
        total = [have + share * number for have, number in zip(total, vector, strict=True)]
    return total


def _part_vector(store: Store, collection: str, part: pb.QueryRequest | pb.Combination.Part) -> list[float]:
    kind = part.WhichOneof("query")
    if kind == "image_id":
        return store.image(collection, part.image_id).vector
    if kind == "image":
        return embed(part.image)
    return _text_vector(part.text) if kind == "text" else _checked(unpack(part.vector.data))


def _text_vector(text: str) -> list[float]:
    return embed(text.encode())


def _shares(cosines: Sequence[float]) -> list[float]:
    exponentials = [math.exp(10 * each) for each in cosines]
    return [each / sum(exponentials) for each in exponentials]


def _pictures(store: Store, request: pb.QueryBatchRequest | pb.ClassifyRequest) -> list[list[float]]:
    if request.image_ids.ids:
        return _each(
            lambda image_id: store.image(request.collection, image_id).vector, request.image_ids.ids, "image_ids.ids"
        )
    return _each(embed, request.images.contents, "images.contents")


def _batch_vectors(store: Store, request: pb.QueryBatchRequest) -> list[list[float]]:
    kind = request.WhichOneof("queries")
    if kind in ("image_ids", "images"):
        return _pictures(store, request)
    if kind == "texts":
        return _each(_text_vector, request.texts.texts, "texts.texts")
    numbers, dim = unpack(request.vectors.data), request.vectors.dim
    return _each(_checked, [numbers[place : place + dim] for place in range(0, len(numbers), dim)], "vectors.data")


def _each(vector_of: Callable[[_Item], list[float]], items: Sequence[_Item], field: str) -> list[list[float]]:
    vectors = []
    for index, item in enumerate(items):
        try:
            vectors.append(vector_of(item))
        except PixvecError as error:
            raise type(error)(f"query {index}: {error.message}", field=f"{field}[{index}]") from error
    return vectors


def _checked(vector: list[float]) -> list[float]:
    if len(vector) != DIM:
        raise InvalidVector(f"the vector has {len(vector)} dimensions, space 'image' has {DIM}", field="vector")
    return vector
