"""The spaces of a new collection: what cannot go together is refused, and every model resolved."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pixvec.domain import IndexSettings, Metric, RegionEmbedding, RegionSettings, Space
from pixvec.errors import InvalidRequest
from pixvec.rpc.embedder_client import EmbedderClient, ResolvedModel

IMAGE_SPACE = "image"
REGION_SPACE = "region"


@dataclass(frozen=True, slots=True)
class NewSpace:
    """A space of whole pictures that is to be made."""

    name: str
    model: str
    metric: Metric
    index: IndexSettings


@dataclass(frozen=True, slots=True)
class NewRegions:
    """The space of regions that is to be made; its vectors are compared by cosine."""

    settings: RegionSettings
    index: IndexSettings


@dataclass(frozen=True, slots=True)
class NewSpaces:
    """The spaces of a collection that is to be made, the one that `model` fills first."""

    image: NewSpace
    further: Sequence[NewSpace] = ()
    regions: NewRegions | None = None


@dataclass(frozen=True, slots=True)
class ResolvedSpaces:
    """Spaces with their models. `reason`: why the first one has its own."""

    spaces: tuple[Space, ...]
    reason: str


def check_spaces(wanted: NewSpaces) -> None:
    """Raises InvalidRequest for spaces that cannot be told apart, and settings that cannot go together."""
    taken = {IMAGE_SPACE: "is made by `model`", REGION_SPACE: "is made by `regions`"}
    for place, space in enumerate(wanted.further):
        if space.name in taken:
            raise InvalidRequest(
                f"space {space.name!r} {taken[space.name]}: give this one another name", field=f"spaces[{place}].name"
            )
        taken[space.name] = "is there already"
    regions = wanted.regions
    if regions and regions.settings.background_out and regions.settings.embedding is RegionEmbedding.CROP:
        raise InvalidRequest(
            "background_out is for regions embedded by ROI: a crop shows its background; leave one of them out",
            field="regions.background_out",
        )


async def resolve_spaces(embedder: EmbedderClient, wanted: NewSpaces, deadline_s: float) -> ResolvedSpaces:
    """Load every model. Raises ModelNotFound, WeightsUnavailable, EmbedderUnavailable, and InvalidRequest where the
    detector cannot do what is asked."""
    give_up_at = time.monotonic() + deadline_s
    spaces: list[Space] = []
    reasons: list[str] = []
    for space in (wanted.image, *wanted.further):
        found = await embedder.resolve_model(space.model, give_up_at - time.monotonic())
        reasons.append(found.reason)
        spaces.append(_to_space(space, found))
    if wanted.regions:
        left_s = give_up_at - time.monotonic()
        spaces.append(await _resolve_regions(embedder, wanted.regions, spaces[0], left_s))
    return ResolvedSpaces(tuple(spaces), reasons[0])


def _to_space(wanted: NewSpace, found: ResolvedModel) -> Space:
    return Space(
        wanted.name,
        found.model,
        found.dim,
        wanted.metric,
        found.digest,
        wanted.index,
        takes_text=found.takes_text,
    )


async def _resolve_regions(embedder: EmbedderClient, wanted: NewRegions, image: Space, deadline_s: float) -> Space:
    found = await embedder.resolve_regions(wanted.settings, image.model, deadline_s)
    settings = replace(wanted.settings, detector=found.model)
    # Crops lie where the image model puts pictures, and so texts.
    takes_text = image.takes_text and settings.embedding is RegionEmbedding.CROP
    return Space(REGION_SPACE, found.model, found.dim, Metric.COSINE, found.digest, wanted.index, settings, takes_text)
