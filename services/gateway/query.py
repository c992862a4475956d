"""What a query asks and what it is answered, in plain values."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from pixvec.domain import Attributes, Box, Consistency, Hit, Match, Region, SearchOptions, SeqToken
from pixvec.fusion import Fusion
from pixvec.rpc.shard_search import RankedHits

STAGES = ("queue", "decode", "inference", "search", "merge", "hydrate")


@dataclass(frozen=True, slots=True)
class Part:
    """One of several things that hits are to be like, or unlike where `weight` is below 0. Exactly one of `image`
    (bytes of a picture), `image_id`, `text` and `vector` (packed little-endian float32) is set."""

    image: bytes = b""
    image_id: str = ""
    text: str = ""
    vector: bytes = b""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Query:
    """Exactly one of `image` (bytes of a picture), `image_id`, `region_id`, `text`, `vector` (packed little-endian
    float32) and `parts` is set; `box`: a part of the picture. An empty `space` is the collection's first, of those that
    take texts where there is a text; that of regions where there is a region or a box. `fusion` names several in its
    place."""

    collection: str
    space: str = ""
    image: bytes = b""
    image_id: str = ""
    region_id: str = ""
    text: str = ""
    vector: bytes = b""
    parts: tuple[Part, ...] = ()
    box: Box | None = None
    fusion: Fusion | None = None
    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)
    attributes: bool = False
    regions: bool = False
    masks: bool = False
    match: bool = False

    @property
    def of_region(self) -> bool:
        """Whether it is for a part of a picture."""
        return bool(self.region_id) or self.box is not None

    @property
    def of_picture(self) -> bool:
        """Whether it is for a whole picture."""
        whole = bool(self.image or self.image_id) and self.box is None
        return whole or any(part.image or part.image_id for part in self.parts)

    @property
    def has_text(self) -> bool:
        """Whether it takes a model of texts."""
        return bool(self.text) or any(part.text for part in self.parts)

    @property
    def embedded(self) -> bool:
        """Whether it takes a model."""
        return bool(self.image) or self.has_text or any(part.image for part in self.parts)


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Queries that are asked alike. Exactly one of `vectors` (rows of `dim` numbers, packed little-endian float32),
    `image_ids`, `images` (bytes of pictures) and `texts` is set."""

    collection: str
    space: str = ""
    vectors: bytes = b""
    dim: int = 0
    image_ids: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    texts: tuple[str, ...] = ()
    limit: int = 10
    min_score: float | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)

    @property
    def count(self) -> int:
        """The number of queries."""
        if self.vectors:
            return len(self.vectors) // (4 * self.dim)
        return len(self.image_ids) + len(self.images) + len(self.texts)

    @property
    def has_text(self) -> bool:
        """Whether it takes a model of texts."""
        return bool(self.texts)

    @property
    def of_picture(self) -> bool:
        """Whether it is for whole pictures."""
        return bool(self.image_ids or self.images)


@dataclass(frozen=True, slots=True)
class ClassifyQuery:
    """Asks of which `labels` pictures are: `images` (bytes) or stored ones, of which exactly one is set. Each of
    `templates` has a `{}` where the label goes; none for those that the model host has."""

    collection: str
    labels: tuple[str, ...]
    templates: tuple[str, ...] = ()
    space: str = ""
    images: tuple[bytes, ...] = ()
    image_ids: tuple[str, ...] = ()
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)
    has_text: ClassVar[bool] = True
    of_picture: ClassVar[bool] = True


@dataclass(slots=True)
class Timings:
    """Where the time went, in seconds."""

    total: float = 0.0
    queue: float = 0.0
    decode: float = 0.0
    inference: float = 0.0
    search: float = 0.0
    merge: float = 0.0
    hydrate: float = 0.0


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """Hits, best first. `attributes` and `regions`, by image id and ordinal, are None unless asked for;
    `attributes_missing` and `regions_missing` when they could not be read. `of_regions`: each hit is a region.
    `matches`: what hits are to the query picture, by image id; `matches_missing` when some could not be compared.
    `scores` of a fusion: those of each hit by image id and space; `space` is empty then."""

    hits: list[Hit]
    space: str
    shards_total: int
    shards_answered: int
    timings: Timings
    attributes: Mapping[str, Attributes] | None = None
    attributes_missing: bool = False
    of_regions: bool = False
    regions: Mapping[tuple[str, int], Region] | None = None
    regions_missing: bool = False
    matches: Mapping[str, Match] | None = None
    matches_missing: bool = False
    scores: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True, slots=True)
class BatchQueryAnswer:
    """The hits of each query, in order. `timings` are those of all together."""

    results: list[RankedHits]
    space: str
    shards_total: int
    shards_answered: int
    timings: Timings


@dataclass(frozen=True, slots=True)
class Classification:
    """A probability for each label, for each picture, in order. `exclusive`: those of a picture sum to 1."""

    results: list[tuple[float, ...]]
    exclusive: bool
    space: str
    timings: Timings


class Deadline:
    """The moment by which a call has to be answered."""

    __slots__ = ("_at",)

    def __init__(self, left_s: float) -> None:
        self._at = time.monotonic() + left_s

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._at - time.monotonic())

    def earlier(self, share: float) -> Self:
        """Return the moment when this share of the time left has passed."""
        return type(self)(share * self.left_s)
