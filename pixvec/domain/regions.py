"""Objects found in pictures: what is looked for, and where it lies."""

from dataclasses import dataclass
from enum import StrEnum


class RegionEmbedding(StrEnum):
    """What the vector of a region is made of."""

    # What the detector's box head made of the region.
    ROI = "roi"
    # What the collection's image model makes of the picture cut to the region.
    CROP = "crop"


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """Which objects of a picture are found, and how they become vectors. `min_area_share`: the least share of the
    picture's area that a region covers; `background_out`: what its mask leaves out is left out of its vector too."""

    detector: str
    embedding: RegionEmbedding = RegionEmbedding.ROI
    class_agnostic: bool = False
    min_score: float = 0.5
    max_regions: int = 20
    min_area_share: float = 0.0
    background_out: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture: pixels of the upright picture, from the upper left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Mask:
    """Which cells of a grid over the whole upright picture belong to a region, as COCO's uncompressed run lengths: down
    column after column, the first run being of cells outside."""

    width: int
    height: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One object found in a picture. `ordinal` counts from 0, the best score first, and is its row in the space of
    regions; `class_name` is empty where classes are left aside; `score` is the detector's, in [0, 1]."""

    ordinal: int
    box: Box
    class_name: str
    score: float
    mask: Mask | None = None


def region_id(image_id: str, ordinal: int) -> str:
    """Return the id that names one region among those of all images."""
    return f"{image_id}#{ordinal}"


def split_region_id(name: str) -> tuple[str, int] | None:
    """Return the image id and the ordinal that `region_id` made a name of, None for what is no such name."""
    image_id, _, ordinal = name.rpartition("#")
    return (image_id, int(ordinal)) if image_id and ordinal.isascii() and ordinal.isdigit() else None
