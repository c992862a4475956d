"""The spaces of collections, between the domain and the wire. Needs protobuf only."""

from collections.abc import Sequence

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.domain import Collection, RegionSettings, Space, SpaceKind
from pixvec.rpc.conversions import metric_from_wire, metric_to_wire
from pixvec.rpc.index_settings import index_from_wire, index_to_wire
from pixvec.rpc.regions import region_settings_from_wire, region_settings_to_wire

_KINDS: dict[SpaceKind, pb.SpaceKind] = {
    SpaceKind.IMAGE: pb.SPACE_KIND_IMAGE,
    SpaceKind.REGION: pb.SPACE_KIND_REGION,
}


def spaces_to_wire(spaces: Sequence[Space]) -> list[pb.Space]:
    """Return spaces as they travel, but for what `regions_to_wire` tells of them."""
    return [
        pb.Space(
            name=space.name,
            model=space.model,
            dim=space.dim,
            metric=metric_to_wire(space.metric),
            digest=space.digest,
            index=index_to_wire(space.index),
            kind=_KINDS[space.kind],
            takes_text=space.takes_text,
        )
        for space in spaces
    ]


def regions_to_wire(collection: Collection) -> pb.RegionSettings | None:
    """Return what makes the regions of a collection, as it travels; None where it has none."""
    space = collection.region_space
    return None if space is None or space.regions is None else region_settings_to_wire(space.regions, space.index)


def spaces_from_wire(message: pb.Collection) -> tuple[Space, ...]:
    """Return the spaces of a collection."""
    regions = region_settings_from_wire(message.regions) if message.HasField("regions") else None
    return tuple(_space(space, regions) for space in message.spaces)


def _space(space: pb.Space, regions: RegionSettings | None) -> Space:
    return Space(
        space.name,
        space.model,
        space.dim,
        metric_from_wire(space.metric),
        space.digest,
        index_from_wire(space.index),
        regions if space.kind == pb.SPACE_KIND_REGION else None,
        space.takes_text,
    )
