"""The objects of a query picture: found by the detector, or those that the collection knows of."""

import asyncio

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Box, Image, ItemError, Region, Space
from pixvec.errors import ImageNotFound, Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.planner import Plan
from services.gateway.query import Deadline, Timings
from services.gateway.region_vectors import picture_error
from services.gateway.resolver import LINKED
from services.gateway.scatter import Scatter, StoredVectorsQuery
from services.gateway.scene import SceneObjects, SceneQuery

_READ_LIMIT_S = 2.0
_NOWHERE = Box(0.0, 0.0, 0.0, 0.0)


class SceneResolver:
    """Gets what is to be searched for."""

    def __init__(self, embedder: EmbedderClient, scatter: Scatter, images: ImageReader, sql: BlockingCalls) -> None:
        self._embedder = embedder
        self._scatter = scatter
        self._images = images
        self._sql = sql

    async def resolve(self, query: SceneQuery, plan: Plan, deadline: Deadline, timings: Timings) -> SceneObjects:
        """Return the objects, none for a picture without any. Raises PictureError, ImageNotFound, EmbedderUnavailable,
        ShardUnavailable."""
        if query.image_id:
            return await self._known(query, plan, deadline)
        model = plan.collection.spaces[0].model
        found = await self._embedder.detect_regions(plan.space, model, [query.image], deadline.left_s)
        timings.queue, timings.decode, timings.inference = found.queue_s, found.decode_s, found.inference_s
        (result,) = found.results
        if isinstance(result, ItemError):
            raise picture_error(result)
        kept = query.max_objects
        count = len(result.regions)
        regions, vectors = result.regions[:kept], result.vectors[:kept]
        return SceneObjects(regions, vectors, count, width=result.width, height=result.height)

    async def _known(self, query: SceneQuery, plan: Plan, deadline: Deadline) -> SceneObjects:
        rows = await self._vectors(query.image_id, plan.space, plan, deadline)
        if not rows:
            await self._check_there(query.image_id, plan, deadline)
            return SceneObjects()
        image, regions = await self._metadata(query.image_id, plan, deadline)
        by_number = {region.ordinal: region for region in regions}
        numbers = range(min(len(rows), query.max_objects))
        # Where some are missing, the others may be of another version of the image than its vectors.
        known = all(number in by_number for number in numbers)
        there = tuple(by_number[number] if known else Region(number, _NOWHERE, "", 0.0) for number in numbers)
        return SceneObjects(
            there,
            tuple(rows[: len(there)]),
            len(rows),
            regions_known=known,
            width=image.width if image else 0,
            height=image.height if image else 0,
        )

    async def _vectors(self, image_id: str, space: Space, plan: Plan, deadline: Deadline) -> list[bytes]:
        wanted = StoredVectorsQuery(plan.collection, space.name, (image_id,), plan.wait_for)
        found = (await self._scatter.vectors(wanted, deadline, complete=plan.complete)).get(image_id, b"")
        size = 4 * space.dim
        return [found[begin : begin + size] for begin in range(0, len(found), size)]

    async def _check_there(self, image_id: str, plan: Plan, deadline: Deadline) -> None:
        """Tell an image without any object, which has a vector of its own, from one that is not there."""
        if not await self._vectors(image_id, plan.collection.spaces[0], plan, deadline):
            raise ImageNotFound(
                f"{plan.collection.name} holds no searchable image {image_id!r}; check the id, or wait until it is"
                f" indexed; {LINKED}",
                field="image_id",
            )

    async def _metadata(self, image_id: str, plan: Plan, deadline: Deadline) -> tuple[Image | None, list[Region]]:
        collection_id = plan.collection.collection_id
        try:
            async with asyncio.timeout(min(_READ_LIMIT_S, deadline.left_s)):
                image = await self._sql.run(self._images.get, collection_id, image_id)
                return image, await self._sql.run(self._images.regions, collection_id, image_id)
        except (Unavailable, Overloaded, ImageNotFound, TimeoutError):
            return None, []
