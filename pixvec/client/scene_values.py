"""What a search for a whole scene answers with. All values are immutable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from pixvec.client.values import Coverage, FoundRegion, Hit, Timings
from pixvec.domain import Attributes


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a query picture with its hits, best first. Its `region_id` is empty where the picture is none of
    the collection."""

    region: FoundRegion
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class ObjectMatch:
    """How well a picture holds one object of the query: by the region of it that is most like the object."""

    score: float
    region: FoundRegion


@dataclass(frozen=True, slots=True)
class SceneHit:
    """A picture that holds all objects of the query: `objects` has one match for each, in order, and `score` is the
    mean of theirs."""

    image_id: str
    score: float
    objects: tuple[ObjectMatch, ...]
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SceneResult(Sequence[SceneObject]):
    """The objects of a picture, each with hits of its own, and `pictures` that hold all of them, best first.

    `objects_found` counts those beyond `max_objects` too; 0: the detector found nothing. `width` and `height`: pixels
    of the upright query picture, 0 where they are not known.
    """

    objects: tuple[SceneObject, ...]
    pictures: tuple[SceneHit, ...]
    objects_found: int
    coverage: Coverage
    timings: Timings
    space: str
    width: int = 0
    height: int = 0
    attributes_missing: bool = False
    regions_missing: bool = False

    def __iter__(self) -> Iterator[SceneObject]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    @overload
    def __getitem__(self, index: int) -> SceneObject: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SceneObject]: ...

    def __getitem__(self, index: int | slice) -> SceneObject | Sequence[SceneObject]:
        return self.objects[index]
