"""Turns what queries show into the vectors to search for."""

from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pixvec.domain import ItemError
from pixvec.errors import ImageNotFound, PixvecError
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.combination import weighted_sum
from services.gateway.planner import MAX_CALL_NUMBERS, Plan
from services.gateway.query import BatchQuery, Deadline, Part, Query, Timings
from services.gateway.scatter import Scatter, StoredVectorsQuery
from services.gateway.together import all_of

# What the embedder takes at once.
IMAGES_A_CALL = 256
_TEXTS_A_CALL = 256
# Of an image that has no vector of its own.
LINKED = "one that is linked as a duplicate is searched by its original, see `duplicate_of` of GetImage"


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """Rows of packed little-endian float32, and the digest of what made them; empty for those from outside."""

    data: bytes
    digest: bytes
    rows: int = 1


class QueryResolver:
    """Gets the vectors of a plan: from the query, from the embedder, or from the shards that hold the images."""

    def __init__(self, embedder: EmbedderClient, scatter: Scatter) -> None:
        self._embedder = embedder
        self._scatter = scatter

    async def resolve(self, query: Query, plan: Plan, deadline: Deadline, timings: Timings) -> QueryVectors:
        """Return the vector. Raises PictureError, ImageNotFound, EmbedderUnavailable, ShardUnavailable."""
        if query.vector:
            return QueryVectors(query.vector, b"")
        digest = bytes.fromhex(plan.space.digest)
        if query.parts:
            return QueryVectors(await self._combined(query.parts, plan, deadline, timings), digest)
        if query.text:
            (read,) = await self._read((query.text,), plan, deadline, timings)
            return QueryVectors(read, digest)
        if query.image_id:
            (vector,) = await self._stored((query.image_id,), plan, deadline)
            if vector is None:
                raise _not_found(query.image_id, plan)
            return QueryVectors(vector, digest)
        (embedded,) = await self._embedded((query.image,), plan, deadline, timings)
        if isinstance(embedded, ItemError):
            raise PixvecError.by_reason(embedded.reason)(f"the query picture: {embedded.message}", field="image")
        return QueryVectors(embedded, digest)

    async def resolve_batch(self, batch: BatchQuery, plan: Plan, deadline: Deadline, timings: Timings) -> QueryVectors:
        """Return the vectors. Raises as `resolve` does, for the first query that has none."""
        if batch.vectors:
            return QueryVectors(batch.vectors, b"", batch.count)
        if batch.texts:
            rows = await self._read(batch.texts, plan, deadline, timings)
        elif batch.image_ids:
            rows = await self.stored(batch.image_ids, plan, deadline)
        else:
            rows = await self._made(batch.images, plan, deadline, timings)
        return QueryVectors(b"".join(rows), bytes.fromhex(plan.space.digest), len(rows))

    async def stored(
        self, image_ids: Sequence[str], plan: Plan, deadline: Deadline, what: str = "query"
    ) -> list[bytes]:
        """Return the first vector of each image. Raises ImageNotFound for one that is not there, telling `what` it is
        and which."""
        rows = []
        for index, vector in enumerate(await self._stored(image_ids, plan, deadline)):
            if vector is None:
                raise _not_found(image_ids[index], plan, f"{what} {index}: ", f"image_ids.ids[{index}]")
            rows.append(vector)
        return rows

    async def _made(self, images: Sequence[bytes], plan: Plan, deadline: Deadline, timings: Timings) -> list[bytes]:
        rows = []
        for index, result in enumerate(await self._embedded(images, plan, deadline, timings)):
            if isinstance(result, ItemError):
                message = f"query {index}: {result.message}"
                raise PixvecError.by_reason(result.reason)(message, field=f"images.contents[{index}]")
            rows.append(result)
        return rows

    async def _combined(self, parts: Sequence[Part], plan: Plan, deadline: Deadline, timings: Timings) -> bytes:
        """Return the vector of all parts together, each kind of them resolved in one go."""
        images, ids, texts = (
            [part.image for part in parts if part.image],
            [part.image_id for part in parts if part.image_id],
            [part.text for part in parts if part.text],
        )
        calls: list[Coroutine[Any, Any, Sequence[bytes | ItemError | None]]] = [
            self._embedded(images, plan, deadline, timings),
            self._stored(ids, plan, deadline),
            self._read(texts, plan, deadline, timings),
        ]
        made, stored, read = await all_of(calls)
        vectors = list(_in_order(parts, iter(made), iter(stored), iter(read), plan))
        return weighted_sum(vectors, [part.weight for part in parts])

    async def _read(self, texts: Sequence[str], plan: Plan, deadline: Deadline, timings: Timings) -> list[bytes]:
        space, rows = plan.reader, list[bytes]()
        size = _a_call(_TEXTS_A_CALL, space.dim)
        for begin in range(0, len(texts), size):
            some = texts[begin : begin + size]
            embedded = await self._embedder.embed_texts(space.model, space.digest, some, deadline.left_s)
            timings.queue += embedded.queue_s
            timings.inference += embedded.inference_s
            rows += embedded.vectors
        return rows

    async def _embedded(
        self, images: Sequence[bytes], plan: Plan, deadline: Deadline, timings: Timings
    ) -> list[bytes | ItemError]:
        space, results = plan.space, list[bytes | ItemError]()
        size = _a_call(IMAGES_A_CALL, space.dim)
        for begin in range(0, len(images), size):
            some = images[begin : begin + size]
            embedded = await self._embedder.embed_images(space.model, space.digest, some, deadline.left_s)
            timings.queue += embedded.queue_s
            timings.decode += embedded.decode_s
            timings.inference += embedded.inference_s
            results += embedded.results
        return results

    async def _stored(self, image_ids: Sequence[str], plan: Plan, deadline: Deadline) -> list[bytes | None]:
        """Return the first vector of each image, None for one that is not there."""
        if not image_ids:
            return []
        wanted = StoredVectorsQuery(plan.collection, plan.space.name, tuple(image_ids), plan.wait_for)
        found = await self._scatter.vectors(wanted, deadline, complete=plan.complete)
        size = 4 * plan.space.dim
        return [found[image_id][:size] if image_id in found else None for image_id in image_ids]


def _a_call(most: int, dim: int) -> int:
    """Return how many vectors of this dimension the embedder is asked for at once."""
    return min(most, max(1, MAX_CALL_NUMBERS // dim))


def _in_order(
    parts: Sequence[Part],
    made: Iterator[bytes | ItemError | None],
    stored: Iterator[bytes | ItemError | None],
    read: Iterator[bytes | ItemError | None],
    plan: Plan,
) -> Iterator[bytes]:
    """Yield the vector of each part. Raises PictureError and ImageNotFound, naming the part."""
    for index, part in enumerate(parts):
        vector = part.vector or (next(read) if part.text else next(made) if part.image else next(stored))
        if isinstance(vector, ItemError):
            message = f"part {index}: {vector.message}"
            raise PixvecError.by_reason(vector.reason)(message, field=f"combination.parts[{index}].image")
        if vector is None:
            raise _not_found(part.image_id, plan, f"part {index}: ", f"combination.parts[{index}].image_id")
        yield vector


def _not_found(image_id: str, plan: Plan, which: str = "", field: str = "image_id") -> ImageNotFound:
    return ImageNotFound(
        f"{which}{plan.collection.name} holds no searchable image {image_id!r}; check the id, or wait until it is"
        f" indexed; {LINKED}",
        field=field,
    )
