"""SearchService over the fake store: by brute force."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from pixvec.api.v1 import common_pb2
from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.api.v1.search_service_pb2_grpc import SearchServiceServicer
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
            found = _ranked(collection, _query_vector(store, request), _min_score(request))
            limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
            return pb.QueryResponse(
                hits=[
                    pb.Hit(
                        image_id=image.message.image_id,
                        score=score,
                        attributes=image.message.attributes if request.include.attributes else None,
                    )
                    for score, image in found[request.offset : request.offset + limit]
                ],
                coverage=pb.Coverage(shards_total=1, shards_answered=1),
                timings=pb.Timings(total=0.001, search=0.001),
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


def _ranked(collection: StoredCollection, vector: Sequence[float], min_score: float) -> list[tuple[float, StoredImage]]:
    scored = [(cosine(vector, image.vector), image) for image in collection.images.values()]
    kept = [each for each in scored if each[0] >= min_score]
    return sorted(kept, key=lambda each: (-each[0], each[1].message.image_id))


def _min_score(request: pb.QueryRequest | pb.QueryBatchRequest) -> float:
    return request.min_score if request.HasField("min_score") else float("-inf")


def _query_vector(store: Store, request: pb.QueryRequest) -> list[float]:
    kind = request.WhichOneof("query")
    if kind == "image_id":
        return store.image(request.collection, request.image_id).vector
    if kind == "image":
        return embed(request.image)
    return _checked(unpack(request.vector.data))


def _batch_vectors(store: Store, request: pb.QueryBatchRequest) -> list[list[float]]:
    kind = request.WhichOneof("queries")
    if kind == "image_ids":
        return _each(
            lambda image_id: store.image(request.collection, image_id).vector, request.image_ids.ids, "image_ids.ids"
        )
    if kind == "images":
        return _each(embed, request.images.contents, "images.contents")
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
