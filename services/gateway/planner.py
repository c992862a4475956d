"""Checks that what a query asks fits its collection."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pixvec.domain import Collection, Consistency, Metric, ShardPosition, Space, SpaceKind
from pixvec.errors import InvalidRequest, InvalidVector, NoRegions, NoTextTower, SpaceNotFound
from pixvec.rpc.channels import MAX_MESSAGE_BYTES
from services.gateway.query import BatchQuery, ClassifyQuery, Query
from services.gateway.scene import SceneQuery

MAX_BATCH_QUERIES = 1_000
# Keeps an answer within a message: an id has up to 512 bytes.
MAX_BATCH_HITS = 100_000
# Keeps vectors within a message: numbers of four bytes. Those that come in one go on in one, with more beside them.
MAX_CALL_NUMBERS = 8_000_000
MAX_SENT_NUMBERS = (MAX_MESSAGE_BYTES - 2**20) // 4


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that fits its collection. `wait_for`: what the answer has to see; `complete`: whether every shard has to
    answer."""

    collection: Collection
    space: Space
    wait_for: tuple[ShardPosition, ...]
    complete: bool

    @property
    def reader(self) -> Space:
        """The space whose model reads texts for this one: objects that take texts are crops, embedded by the model of
        the collection's first space."""
        return self.collection.spaces[0] if self.space.kind is SpaceKind.REGION else self.space


def plan_query(query: Query, collection: Collection) -> Plan:
    """Raise SpaceNotFound, NoTextTower, InvalidVector or InvalidRequest for a query that cannot be answered here."""
    plan = _plan(query, collection)
    if query.vector:
        check_vector(query.vector, plan.space)
    # Parts are scaled to one length, which zeros have not, whatever the metric.
    directed = replace(plan.space, metric=Metric.COSINE)
    for index, part in enumerate(query.parts):
        if part.vector:
            check_vector(part.vector, directed, f"combination.parts[{index}].vector")
    return plan


def plan_batch(batch: BatchQuery, collection: Collection) -> Plan:
    """Raise SpaceNotFound, NoTextTower, InvalidVector or InvalidRequest for a batch that cannot be answered here."""
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
    _check_numbers(batch, plan.space)
    return plan


def _check_numbers(batch: BatchQuery, space: Space) -> None:
    fitting = (MAX_SENT_NUMBERS if batch.vectors else MAX_CALL_NUMBERS) // space.dim
    if batch.count > fitting:
        kinds = {"images": batch.images, "image_ids": batch.image_ids, "texts": batch.texts, "vectors": batch.vectors}
        raise InvalidRequest(
            f"{batch.count} vectors of {space.dim} dimensions are more than a batch carries in space {space.name!r}:"
            f" send at most {fitting} queries at once",
            field=next(kind for kind, given in kinds.items() if given),
        )


def plan_classification(query: ClassifyQuery, collection: Collection) -> Plan:
    """Raise SpaceNotFound, NoTextTower or InvalidRequest for pictures that cannot be classified here."""
    return _plan(query, collection)


def check_vector(data: bytes, space: Space, field: str = "vector") -> None:
    """Raise InvalidVector unless packed float32 numbers can be searched for in this space."""
    if len(data) != 4 * space.dim:
        given = f"{len(data) // 4} dimensions" if len(data) % 4 == 0 else f"{len(data)} bytes, no whole float32 numbers"
        raise InvalidVector(
            f"the vector has {given}; space {space.name!r} (model {space.model}) takes {space.dim} dimensions",
            field=field,
        )
    (fault,) = _faults(np.frombuffer(data, "<f4")[None], space)
    if fault:
        raise InvalidVector(fault, field=field)


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


def _plan(query: Query | BatchQuery | ClassifyQuery, collection: Collection) -> Plan:
    space = _space(query, collection)
    complete = query.consistency is Consistency.SESSION
    return Plan(collection, space, _positions(query, collection) if complete else (), complete)


def plan_scene(query: SceneQuery, collection: Collection) -> Plan:
    """Raise NoRegions or InvalidRequest for a scene that cannot be looked for here."""
    if collection.region_space is None:
        raise _no_regions(collection, "query")
    complete = query.consistency is Consistency.SESSION
    wait_for = _positions(query, collection) if complete else ()
    return Plan(collection, collection.region_space, wait_for, complete)


def _space(query: Query | BatchQuery | ClassifyQuery, collection: Collection) -> Space:
    found = _found_space(query, collection)
    if found.kind is SpaceKind.REGION and query.of_picture:
        raise InvalidRequest(
            f"space {found.name!r} holds objects, not whole pictures: search it by a region_id, a box drawn on the"
            " picture or a vector, or for all objects of the picture by QueryScene",
            field="space",
        )
    if found.kind is not SpaceKind.REGION and isinstance(query, Query) and query.region_id:
        if collection.region_space is None:
            raise _no_regions(collection, "region_id")
        raise InvalidRequest(
            f"space {found.name!r} holds whole pictures: search by a region in space {collection.region_space.name!r}",
            field="space",
        )
    return found


def _found_space(query: Query | BatchQuery | ClassifyQuery, collection: Collection) -> Space:
    if isinstance(query, Query) and query.of_region and not query.space:
        return collection.region_space or collection.spaces[0]
    found = collection.text_space if query.has_text and not query.space else collection.space(query.space)
    if found is None and query.space:
        raise space_not_found(collection, query.space, "space")
    if found is None or (query.has_text and not found.takes_text):
        raise _no_text_tower(query.space, collection)
    return found


def space_not_found(collection: Collection, name: str, field: str) -> SpaceNotFound:
    """Return the error for a space that is not there, with those that are."""
    known = ", ".join(each.name for each in collection.spaces)
    return SpaceNotFound(f"{collection.name} has no space {name!r}; it has {known}", field=field)


def _no_regions(collection: Collection, field: str) -> NoRegions:
    return NoRegions(
        f"{collection.name} finds no objects in its pictures: make a collection with `regions`, naming a detector, and"
        " take the pictures in there",
        field=field,
    )


def _no_text_tower(asked: str, collection: Collection) -> NoTextTower:
    if asked and collection.text_space is not None:
        return NoTextTower(
            f"space {asked!r} of {collection.name} takes pictures only: search by text in space"
            f" {collection.text_space.name!r}",
            field="space",
        )
    models = ", ".join(dict.fromkeys(each.model for each in collection.spaces))
    return NoTextTower(
        f"no space of {collection.name} takes texts (its models: {models}): make a collection with a model of pictures"
        " and texts, open_clip:NAME/TAG, and take the pictures in there",
        field="text",
    )


def _positions(
    query: Query | BatchQuery | ClassifyQuery | SceneQuery, collection: Collection
) -> tuple[ShardPosition, ...]:
    for position in query.token.positions:
        if position.shard >= collection.shard_count:
            raise InvalidRequest(
                f"the token is of another collection: it names shard {position.shard}, and {collection.name} has"
                f" {collection.shard_count}; send the token of a write to {collection.name}",
                field="token",
            )
    return query.token.positions
