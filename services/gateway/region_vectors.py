"""Turns a part of a picture into the vector to search for: a region of an image, or a drawn box."""

from collections.abc import Sequence

from pixvec.domain import Box, ItemError, SpaceKind, split_region_id
from pixvec.errors import BoxOutside, InvalidRequest, PixvecError, RegionNotFound
from pixvec.rpc.embedder_client import EmbedderClient
from services.gateway.pictures import StoredPictures
from services.gateway.planner import Plan
from services.gateway.query import Deadline, Query, Timings
from services.gateway.resolver import QueryVectors
from services.gateway.scatter import Scatter, StoredVectorsQuery


class RegionResolver:
    """Gets the vector of a plan that is for a part of a picture."""

    def __init__(self, embedder: EmbedderClient, scatter: Scatter, pictures: StoredPictures) -> None:
        self._embedder = embedder
        self._scatter = scatter
        self._pictures = pictures

    async def resolve(self, query: Query, plan: Plan, deadline: Deadline, timings: Timings) -> QueryVectors:
        """Return the vector. Raises RegionNotFound, ImageNotFound, PictureError, InvalidRequest for a box outside its
        picture, EmbedderUnavailable, ShardUnavailable."""
        digest = bytes.fromhex(plan.space.digest)
        if query.region_id:
            return QueryVectors(await self._stored(query.region_id, plan, deadline), digest)
        picture = query.image
        if query.image_id:
            _, picture = await self._pictures.read(plan.collection.collection_id, query.image_id)
        if plan.space.kind is SpaceKind.REGION:
            return QueryVectors(await self._described(picture, query, plan, deadline, timings), digest)
        return QueryVectors(await self._cut(picture, query, plan, deadline, timings), digest)

    async def _stored(self, region_id: str, plan: Plan, deadline: Deadline) -> bytes:
        place = split_region_id(region_id)
        if place is None or place[1] >= 2**32:
            raise InvalidRequest(
                f"{region_id!r} is no region: name one as hits do, by the id of its image, # and a number from 0",
                field="region_id",
            )
        image_id, ordinal = place
        wanted = StoredVectorsQuery(plan.collection, plan.space.name, (image_id,), plan.wait_for, (ordinal,))
        found = await self._scatter.vectors(wanted, deadline, complete=plan.complete)
        if image_id not in found:
            raise RegionNotFound(
                f"{plan.collection.name} holds no searchable region {region_id!r}; GetImage lists those of an image",
                field="region_id",
            )
        return found[image_id]

    async def _described(self, picture: bytes, query: Query, plan: Plan, deadline: Deadline, timings: Timings) -> bytes:
        """Return what the detector makes of the box."""
        model = plan.collection.spaces[0].model
        found = await self._embedder.detect_regions(plan.space, model, [picture], deadline.left_s, _boxes(query))
        timings.queue += found.queue_s
        timings.decode += found.decode_s
        timings.inference += found.inference_s
        (result,) = found.results
        if isinstance(result, ItemError):
            raise picture_error(result)
        return result.vectors[0]

    async def _cut(self, picture: bytes, query: Query, plan: Plan, deadline: Deadline, timings: Timings) -> bytes:
        """Return what the space's model makes of the picture cut to the box."""
        space = plan.space
        made = await self._embedder.embed_images(space.model, space.digest, [picture], deadline.left_s, _boxes(query))
        timings.queue += made.queue_s
        timings.decode += made.decode_s
        timings.inference += made.inference_s
        (result,) = made.results
        if isinstance(result, ItemError):
            raise picture_error(result)
        return result


def picture_error(error: ItemError) -> PixvecError:
    """Return the error for a query picture that came to nothing."""
    kind = PixvecError.by_reason(error.reason)
    return kind(f"the query picture: {error.message}", field="box" if kind is BoxOutside else "image")


def _boxes(query: Query) -> Sequence[Box]:
    return [] if query.box is None else [query.box]
