"""What the SDK answers with. All values are immutable."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from pixvec.domain import Attributes, Box, Image, ItemError, Mask, Match, SeqToken, Space, region_id


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection. `model_choice` says why its model was taken; only create_collection with model `auto` fills it."""

    name: str
    spaces: tuple[Space, ...]
    shard_count: int
    image_count: int
    created_at: dt.datetime
    model_choice: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that did not become searchable. `error.message` names the item and the remedy."""

    ordinal: int
    image_id: str
    error: ItemError
    uri: str = ""


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """How the items of an ingest stand. Each is counted once, at the furthest stage it reached; of the indexed ones
    `unchanged` were there already, and `linked` are duplicates of an image that is searched in their place. `total` is
    what has been read from the sources so far."""

    total: int = 0
    queued: int = 0
    decoded: int = 0
    embedded: int = 0
    indexed: int = 0
    failed: int = 0
    unchanged: int = 0
    linked: int = 0


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """One object in a picture. `region_id` is what to search by it with; `ordinal` counts within the picture. `box`, in
    pixels of the upright picture, `class_name` and the detector's `score` are filled when asked for, and so is `mask`
    of a detector that makes them."""

    region_id: str
    ordinal: int
    box: Box | None = None
    class_name: str = ""
    score: float = 0.0
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo(Image):
    """What is known of an image. `regions` are filled when asked for, by ordinal."""

    regions: tuple[FoundRegion, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One found image. A larger score is better for every metric; `attributes` is filled when asked for; `region`, in a
    space of regions, is the one of the picture that was found; `match`, when asked for, says whether the picture is a
    copy of the query picture; `scores`, where spaces are fused, are those in each of them."""

    image_id: str
    score: float
    attributes: Attributes = field(default_factory=dict)
    region: FoundRegion | None = None
    match: Match | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the collection an answer speaks for."""

    shards_total: int
    shards_answered: int

    @property
    def complete(self) -> bool:
        """Whether every shard answered."""
        return self.shards_answered == self.shards_total


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a query went, in seconds, as the gateway saw it."""

    total: float
    queue: float
    decode: float
    inference: float
    search: float
    merge: float
    hydrate: float

    def stages(self) -> Mapping[str, float]:
        """Return the stages without the total, in the order in which they happen."""
        names = ("queue", "decode", "inference", "search", "merge", "hydrate")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[Hit]):
    """The hits of one search, best first, with what the answer covers and where its time went."""

    hits: tuple[Hit, ...]
    coverage: Coverage
    timings: Timings
    space: str
    attributes_missing: bool = False
    regions_missing: bool = False
    matches_missing: bool = False

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...

    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        return self.hits[index]


@dataclass(frozen=True, slots=True)
class DuplicatesResult(SearchResult):
    """Copies of a picture, exact ones first, then near ones, then what is merely similar: `match` of each hit says
    which. `compared`: how many pictures were looked at; `matches_missing`: some could not be, and count as similar."""

    compared: int = 0


@dataclass(frozen=True, slots=True)
class BatchHits(Sequence[Hit]):
    """The hits of one query of a batch, best first: ids and scores side by side, or a `Hit` each when asked for one. In
    a space of regions `ordinals` says which of its image's each hit is."""

    image_ids: tuple[str, ...]
    scores: tuple[float, ...]
    ordinals: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.image_ids)

    @overload
    def __getitem__(self, index: int) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...

    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        if isinstance(index, slice):
            return BatchHits(self.image_ids[index], self.scores[index], self.ordinals[index])
        image_id, score = self.image_ids[index], self.scores[index]
        if not self.ordinals:
            return Hit(image_id, score)
        ordinal = self.ordinals[index]
        return Hit(image_id, score, region=FoundRegion(region_id(image_id, ordinal), ordinal))


@dataclass(frozen=True, slots=True)
class BatchResult(Sequence[BatchHits]):
    """The hits of each query of a batch, in order, with what the answer covers and where its time went."""

    results: tuple[BatchHits, ...]
    coverage: Coverage
    timings: Timings
    space: str

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> BatchHits: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[BatchHits]: ...

    def __getitem__(self, index: int | slice) -> BatchHits | Sequence[BatchHits]:
        return self.results[index]


@dataclass(frozen=True, slots=True)
class Classification(Mapping[str, float]):
    """What one picture is of: a probability for each label, the likeliest first."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def best(self) -> str:
        """The likeliest label."""
        return self.labels[0]

    def __getitem__(self, label: str) -> float:
        if label not in self.labels:
            raise KeyError(label)
        return self.probabilities[self.labels.index(label)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class ClassifyResult(Sequence[Classification]):
    """What each picture is of, in order. `exclusive`: the probabilities of a picture sum to 1; else each label stands
    for itself. `space` is that whose model was asked."""

    results: tuple[Classification, ...]
    exclusive: bool
    timings: Timings
    space: str

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, index: int) -> Classification: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Classification]: ...

    def __getitem__(self, index: int | slice) -> Classification | Sequence[Classification]:
        return self.results[index]


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete did."""

    deleted: int
    not_found: int
    token: SeqToken
