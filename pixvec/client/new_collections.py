"""Collections that are to be made: their spaces, and what finds regions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.client import requests
from pixvec.client.arguments import choice, index_settings, not_negative, number, text
from pixvec.domain import IndexSettings, Metric, RegionEmbedding, RegionSettings
from pixvec.errors import InvalidRequest
from pixvec.rpc.conversions import metric_to_wire
from pixvec.rpc.index_settings import index_to_wire
from pixvec.rpc.regions import region_settings_to_wire


@dataclass(frozen=True, slots=True)
class SpaceSettings:
    """One more space of whole pictures. `index`: settings, or the name of a kind."""

    model: str
    metric: Metric | str = Metric.COSINE
    index: IndexSettings | str = field(default_factory=IndexSettings)


# By name; a model's name stands for its space with the defaults.
Spaces: TypeAlias = Mapping[str, SpaceSettings | str]
# A detector's name stands for its settings with the defaults.
Regions: TypeAlias = RegionSettings | str


def create_collection(
    name: str,
    model: str,
    metric: Metric | str,
    shards: int | None,
    index: IndexSettings | str,
    regions: Regions | None,
    spaces: Spaces | None,
) -> pb.CreateCollectionRequest:
    """Build the request for a new collection. Raises InvalidRequest."""
    request = requests.create_collection(name, model, metric, shards, index)
    if regions is not None:
        request.regions.CopyFrom(region_settings_to_wire(_checked(regions)))
    if spaces is not None and not isinstance(spaces, Mapping):
        raise InvalidRequest(f"spaces must map names to models, not be {spaces!r}", field="spaces")
    request.spaces.extend(_space(*each) for each in (spaces or {}).items())
    return request


def _space(name: str, wanted: SpaceSettings | str) -> pb.SpaceSettings:
    settings = wanted if isinstance(wanted, SpaceSettings) else SpaceSettings(wanted)
    return pb.SpaceSettings(
        name=text("spaces", name),
        model=text("spaces", settings.model),
        metric=metric_to_wire(choice("spaces", Metric, settings.metric)),
        index=index_to_wire(index_settings(settings.index)),
    )


def _checked(regions: Regions) -> RegionSettings:
    if not isinstance(regions, RegionSettings):
        return RegionSettings(text("regions", regions))
    return RegionSettings(
        text("regions.detector", regions.detector),
        choice("regions.embedding", RegionEmbedding, regions.embedding),
        bool(regions.class_agnostic),
        number("regions.min_score", regions.min_score),
        not_negative("regions.max_regions", regions.max_regions),
        number("regions.min_area_share", regions.min_area_share),
        bool(regions.background_out),
    )
