"""Collections, and the spaces that their vectors lie in."""

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from pixvec.domain.index import IndexSettings, Metric
from pixvec.domain.regions import RegionSettings


class SpaceKind(StrEnum):
    """What the vectors of a space stand for."""

    # One vector a picture.
    IMAGE = "image"
    # One vector for each object that a detector found, so any number a picture.
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Space:
    """One kind of vector that every image of a collection carries. `digest` is 64 hexadecimal digits; `regions` says
    where the rows of a space of regions come from, `takes_text` whether texts have a place in it."""

    name: str
    model: str
    dim: int
    metric: Metric
    digest: str
    index: IndexSettings = field(default_factory=IndexSettings)
    regions: RegionSettings | None = None
    takes_text: bool = False

    @property
    def kind(self) -> SpaceKind:
        """What its vectors stand for."""
        return SpaceKind.IMAGE if self.regions is None else SpaceKind.REGION


@dataclass(frozen=True, slots=True)
class Collection:
    """A set of images with its spaces. `collection_id` is never reused, a name may be."""

    collection_id: int
    name: str
    spaces: tuple[Space, ...]
    shard_count: int
    created_at: dt.datetime

    def space(self, name: str) -> Space | None:
        """Return the space of that name, the first one for an empty name, or None."""
        if not name:
            return self.spaces[0]
        return next((space for space in self.spaces if space.name == name), None)

    @property
    def text_space(self) -> Space | None:
        """The first space that texts have a place in, None where there is none."""
        return next((space for space in self.spaces if space.takes_text), None)

    @property
    def region_space(self) -> Space | None:
        """The space whose vectors stand for objects, None where none are found."""
        return next((space for space in self.spaces if space.kind is SpaceKind.REGION), None)
