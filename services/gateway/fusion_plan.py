"""Checks that a query of several spaces fits its collection, and says how each of them is to be asked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pixvec.domain import Box, Collection, RegionEmbedding, Space, SpaceKind
from pixvec.errors import InvalidRequest, NoTextTower
from pixvec.fusion import FusedSpace, Fusion
from services.gateway.planner import Plan, plan_query, space_not_found
from services.gateway.query import Query

# Beyond every picture's edges, where boxes are cut off; exact in single precision.
_WHOLE = Box(0, 0, 2**20, 2**20)


@dataclass(frozen=True, slots=True)
class FusedPlan:
    """One space of several. What `plan` searches for in it is the vector of `query`, made as `source` says."""

    fused: FusedSpace
    plan: Plan
    query: Query
    source: Plan

    @property
    def name(self) -> str:
        """The name of the space."""
        return self.fused.space


def plan_fusion(query: Query, fusion: Fusion, collection: Collection) -> list[FusedPlan]:
    """Raise SpaceNotFound, NoTextTower, InvalidVector or InvalidRequest for a query that these spaces cannot answer
    together."""
    if query.space or query.of_region:
        raise InvalidRequest(
            "fusion names the spaces to search, by whole pictures, texts and vectors: leave space, box and region_id"
            " out, or fusion",
            field="fusion",
        )
    _check_names(fusion.spaces)
    if not any(each.weight > 0 for each in fusion.spaces):
        raise InvalidRequest("one space at least must have a weight above 0", field="fusion.spaces")
    return [_plan(query, each, f"fusion.spaces[{place}].space", collection) for place, each in enumerate(fusion.spaces)]


def _check_names(spaces: Sequence[FusedSpace]) -> None:
    names = [each.space for each in spaces]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InvalidRequest(
                f"space {name!r} is fused twice: name it once, with the weight that it is to have",
                field=f"fusion.spaces[{place}].space",
            )


def _plan(query: Query, fused: FusedSpace, field: str, collection: Collection) -> FusedPlan:
    space = collection.space(fused.space)
    if space is None:
        raise space_not_found(collection, fused.space, field)
    # Crops lie where the model of the first space puts pictures.
    maker = collection.spaces[0] if _is_of_crops(space) else space
    _check_kind(query, maker, field, collection)
    of_regions = maker.kind is SpaceKind.REGION and bool(query.image or query.image_id)
    asked = replace(query, fusion=None, space=maker.name, box=_WHOLE if of_regions else None)
    source = plan_query(asked, collection)
    return FusedPlan(fused, replace(source, space=space), asked, source)


def _check_kind(query: Query, space: Space, field: str, collection: Collection) -> None:
    """Raise NoTextTower for a text, and InvalidRequest for parts, that have no place in a space."""
    if query.has_text and not space.takes_text:
        raise NoTextTower(
            f"space {space.name!r} of {collection.name} takes pictures only: leave it out of the fusion, or search by a"
            " picture",
            field=field,
        )
    if space.kind is SpaceKind.REGION and any(part.image or part.image_id for part in query.parts):
        raise InvalidRequest(
            f"space {space.name!r} holds objects, which a combination with pictures cannot be compared with: leave it"
            " out of the fusion, or search by one picture",
            field=field,
        )


def _is_of_crops(space: Space) -> bool:
    """Whether the space holds objects as the model of the collection's first space sees them."""
    return space.regions is not None and space.regions.embedding is RegionEmbedding.CROP
