"""Turns what queries show into the vectors to search for."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixvec.domain import ItemError
from pixvec.errors import ImageNotFound, PixvecError
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.planner import Plan
from services.gateway.query import BatchQuery, Deadline, Query, Timings
from services.gateway.scatter import Scatter, StoredVectorsQuery

# What the embedder takes at once.
_IMAGES_A_CALL = 256


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
        rows = (
            await self._found(batch.image_ids, plan, deadline)
            if batch.image_ids
            else await self._made(batch.images, plan, deadline, timings)
        )
        return QueryVectors(b"".join(rows), bytes.fromhex(plan.space.digest), len(rows))

    async def _found(self, image_ids: Sequence[str], plan: Plan, deadline: Deadline) -> list[bytes]:
        rows = []
        for index, vector in enumerate(await self._stored(image_ids, plan, deadline)):
            if vector is None:
                raise _not_found(image_ids[index], plan, index)
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

    async def _embedded(
        self, images: Sequence[bytes], plan: Plan, deadline: Deadline, timings: Timings
    ) -> list[bytes | ItemError]:
        space, results = plan.space, list[bytes | ItemError]()
        for begin in range(0, len(images), _IMAGES_A_CALL):
            some = images[begin : begin + _IMAGES_A_CALL]
            embedded = await self._embedder.embed_images(space.model, space.digest, some, deadline.left_s)
            timings.queue += embedded.queue_s
            timings.decode += embedded.decode_s
            timings.inference += embedded.inference_s
            results += embedded.results
        return results

    async def _stored(self, image_ids: Sequence[str], plan: Plan, deadline: Deadline) -> list[bytes | None]:
        """Return the first vector of each image, None for one that is not there."""
        wanted = StoredVectorsQuery(plan.collection, plan.space.name, tuple(image_ids), plan.wait_for)
        found = await self._scatter.vectors(wanted, deadline, complete=plan.complete)
        size = 4 * plan.space.dim
        return [found[image_id][:size] if image_id in found else None for image_id in image_ids]


def _not_found(image_id: str, plan: Plan, index: int | None = None) -> ImageNotFound:
    which, field = ("", "image_id") if index is None else (f"query {index}: ", f"image_ids.ids[{index}]")
    return ImageNotFound(
        f"{which}{plan.collection.name} holds no searchable image {image_id!r}; check the id, or wait until it is"
        " indexed",
        field=field,
    )
