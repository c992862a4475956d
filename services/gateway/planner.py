"""Turns what a query shows into the vector to search for."""

from dataclasses import dataclass

import numpy as np

from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Collection, Consistency, ItemError, Metric, ShardPosition, Space
from pixvec.errors import ImageNotFound, InvalidRequest, InvalidVector, PixvecError, SpaceNotFound
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.query import Deadline, Query, Timings
from services.gateway.scatter import Scatter, StoredVectorQuery


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that fits its collection. `wait_for`: what the answer has to see; `complete`: whether every shard has to
    answer."""

    collection: Collection
    space: Space
    wait_for: tuple[ShardPosition, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class QueryVector:
    """Packed little-endian float32, and the digest of what made it; empty for one from outside."""

    data: bytes
    digest: bytes


def plan_query(query: Query, collection: Collection) -> Plan:
    """Raise SpaceNotFound, InvalidVector or InvalidRequest for a query that cannot be answered here."""
    space = collection.space(query.space)
    if space is None:
        known = ", ".join(each.name for each in collection.spaces)
        raise SpaceNotFound(f"{collection.name} has no space {query.space!r}; it has {known}", field="space")
    if query.vector:
        check_vector(query.vector, space)
    complete = query.consistency is Consistency.SESSION
    return Plan(collection, space, _positions(query, collection) if complete else (), complete)


class QueryResolver:
    """Gets the vector of a plan: from the query, from the embedder, or from the shard that holds the image."""

    def __init__(self, embedder: EmbedderClient, scatter: Scatter) -> None:
        self._embedder = embedder
        self._scatter = scatter

    async def resolve(self, query: Query, plan: Plan, deadline: Deadline, timings: Timings) -> QueryVector:
        """Return the vector. Raises PictureError, ImageNotFound, EmbedderUnavailable, ShardUnavailable."""
        if query.vector:
            return QueryVector(query.vector, b"")
        digest = bytes.fromhex(plan.space.digest)
        if query.image_id:
            return QueryVector(await self._stored(query.image_id, plan, deadline), digest)
        return QueryVector(await self._embedded(query.image, plan, deadline, timings), digest)

    async def _embedded(self, image: bytes, plan: Plan, deadline: Deadline, timings: Timings) -> bytes:
        space = plan.space
        embedded = await self._embedder.embed_images(space.model, space.digest, [image], deadline.left_s)
        timings.queue, timings.decode, timings.inference = embedded.queue_s, embedded.decode_s, embedded.inference_s
        (result,) = embedded.results
        if isinstance(result, ItemError):
            raise _picture_error(result)
        return result

    async def _stored(self, image_id: str, plan: Plan, deadline: Deadline) -> bytes:
        collection, space = plan.collection, plan.space
        shard = shard_of(image_id, collection.shard_count)
        wait_for = tuple(position for position in plan.wait_for if position.shard == shard)
        wanted = StoredVectorQuery(collection, shard, space.name, image_id, wait_for)
        rows = await self._scatter.get_vector(wanted, deadline, complete=plan.complete)
        if rows is None:
            raise ImageNotFound(
                f"{collection.name} holds no searchable image {image_id!r}; check the id, or wait until it is indexed",
                field="image_id",
            )
        return rows[: 4 * space.dim]


def check_vector(data: bytes, space: Space) -> None:
    """Raise InvalidVector unless packed float32 numbers can be searched for in this space."""
    if len(data) != 4 * space.dim:
        given = f"{len(data) // 4} dimensions" if len(data) % 4 == 0 else f"{len(data)} bytes, no whole float32 numbers"
        raise InvalidVector(
            f"the vector has {given}; space {space.name!r} (model {space.model}) takes {space.dim} dimensions",
            field="vector",
        )
    vector = np.frombuffer(data, "<f4")
    # In double precision: the square of a large float32 is not finite, that of a small one is zero.
    length = float(np.dot(wide := vector.astype(np.float64), wide))
    if not np.isfinite(length):
        raise InvalidVector("the vector has a value that is not finite (NaN or infinity)", field="vector")
    if length == 0 and space.metric is Metric.COSINE:
        raise InvalidVector("a vector of zeros has no direction, which the cosine metric compares", field="vector")


def _positions(query: Query, collection: Collection) -> tuple[ShardPosition, ...]:
    for position in query.token.positions:
        if position.shard >= collection.shard_count:
            raise InvalidRequest(
                f"the token is of another collection: it names shard {position.shard}, and {collection.name} has"
                f" {collection.shard_count}; send the token of a write to {collection.name}",
                field="token",
            )
    return query.token.positions


def _picture_error(error: ItemError) -> PixvecError:
    return PixvecError.by_reason(error.reason)(f"the query picture: {error.message}", field="image")
