"""Checks that what a query asks fits its collection."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixvec.domain import Collection, Consistency, Metric, ShardPosition, Space
from pixvec.errors import InvalidRequest, InvalidVector, SpaceNotFound
from services.gateway.query import BatchQuery, Query

MAX_BATCH_QUERIES = 1_000
# Keeps an answer within a message: an id has up to 512 bytes.
MAX_BATCH_HITS = 100_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that fits its collection. `wait_for`: what the answer has to see; `complete`: whether every shard has to
    answer."""

    collection: Collection
    space: Space
    wait_for: tuple[ShardPosition, ...]
    complete: bool


def plan_query(query: Query, collection: Collection) -> Plan:
    """Raise SpaceNotFound, InvalidVector or InvalidRequest for a query that cannot be answered here."""
    plan = _plan(query, collection)
    if query.vector:
        check_vector(query.vector, plan.space)
    return plan


def plan_batch(batch: BatchQuery, collection: Collection) -> Plan:
    """Raise SpaceNotFound, InvalidVector or InvalidRequest for a batch that cannot be answered here."""
    plan = _plan(batch, collection)
    if batch.count > MAX_BATCH_QUERIES:
        raise InvalidRequest(
            f"{batch.count} queries are too many for a batch: send at most {MAX_BATCH_QUERIES} at once", field="vectors"
        )
    if batch.count * batch.limit > MAX_BATCH_HITS:
        raise InvalidRequest(
            f"{batch.count} queries of {batch.limit} hits are more than the {MAX_BATCH_HITS} hits of a batch: lower the"
            " limit, or send fewer queries at once",
            field="limit",
        )
    if batch.vectors:
        check_vectors(batch.vectors, batch.dim, plan.space)
    return plan


def check_vector(data: bytes, space: Space) -> None:
    """Raise InvalidVector unless packed float32 numbers can be searched for in this space."""
    if len(data) != 4 * space.dim:
        given = f"{len(data) // 4} dimensions" if len(data) % 4 == 0 else f"{len(data)} bytes, no whole float32 numbers"
        raise InvalidVector(
            f"the vector has {given}; space {space.name!r} (model {space.model}) takes {space.dim} dimensions",
            field="vector",
        )
    (fault,) = _faults(np.frombuffer(data, "<f4")[None], space)
    if fault:
        raise InvalidVector(fault, field="vector")


def check_vectors(data: bytes, dim: int, space: Space) -> None:
    """Raise InvalidVector unless rows of packed float32 numbers can be searched for in this space, naming the first
    that cannot."""
    if dim != space.dim:
        raise InvalidVector(
            f"the vectors have {dim} dimensions; space {space.name!r} (model {space.model}) takes {space.dim}",
            field="vectors.dim",
        )
    if len(data) % (4 * dim):
        raise InvalidVector(
            f"{len(data)} bytes are no whole rows of {dim} float32 numbers, which take {4 * dim} bytes each",
            field="vectors.data",
        )
    for index, fault in enumerate(_faults(np.frombuffer(data, "<f4").reshape(-1, dim), space)):
        if fault:
            raise InvalidVector(f"query {index}: {fault}", field="vectors.data")


def _faults(vectors: npt.NDArray[np.float32], space: Space) -> list[str]:
    """Return what is wrong with each row, nothing where it can be searched for."""
    # In double precision: the square of a large float32 is not finite, that of a small one is zero.
    lengths = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return [_fault(length, space) for length in lengths.tolist()]


def _fault(length: float, space: Space) -> str:
    if not math.isfinite(length):
        return "the vector has a value that is not finite (NaN or infinity)"
    if length == 0 and space.metric is Metric.COSINE:
        return "a vector of zeros has no direction, which the cosine metric compares"
    return ""


def _plan(query: Query | BatchQuery, collection: Collection) -> Plan:
    space = collection.space(query.space)
    if space is None:
        known = ", ".join(each.name for each in collection.spaces)
        raise SpaceNotFound(f"{collection.name} has no space {query.space!r}; it has {known}", field="space")
    complete = query.consistency is Consistency.SESSION
    return Plan(collection, space, _positions(query, collection) if complete else (), complete)


def _positions(query: Query | BatchQuery, collection: Collection) -> tuple[ShardPosition, ...]:
    for position in query.token.positions:
        if position.shard >= collection.shard_count:
            raise InvalidRequest(
                f"the token is of another collection: it names shard {position.shard}, and {collection.name} has"
                f" {collection.shard_count}; send the token of a write to {collection.name}",
                field="token",
            )
    return query.token.positions
