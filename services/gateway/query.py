"""What a query asks and what it is answered, in plain values."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pixvec.domain import Attributes, Consistency, Hit, SearchOptions, SeqToken
from pixvec.rpc.shard_search import RankedHits

STAGES = ("queue", "decode", "inference", "search", "merge", "hydrate")


@dataclass(frozen=True, slots=True)
class Query:
    """Exactly one of `image` (bytes of a picture), `image_id` and `vector` (packed little-endian float32) is set. An
    empty `space` is the collection's first."""

    collection: str
    space: str = ""
    image: bytes = b""
    image_id: str = ""
    vector: bytes = b""
    limit: int = 10
    offset: int = 0
    min_score: float | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)
    attributes: bool = False


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """Queries that are asked alike. Exactly one of `vectors` (rows of `dim` numbers, packed little-endian float32),
    `image_ids` and `images` (bytes of pictures) is set."""

    collection: str
    space: str = ""
    vectors: bytes = b""
    dim: int = 0
    image_ids: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    limit: int = 10
    min_score: float | None = None
    options: SearchOptions = field(default_factory=SearchOptions)
    consistency: Consistency = Consistency.EVENTUAL
    token: SeqToken = field(default_factory=SeqToken)

    @property
    def count(self) -> int:
        """The number of queries."""
        return len(self.vectors) // (4 * self.dim) if self.vectors else len(self.image_ids) + len(self.images)


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
    """Hits, best first. `attributes` is None unless asked for; `attributes_missing` when they could not be read."""

    hits: list[Hit]
    space: str
    shards_total: int
    shards_answered: int
    timings: Timings
    attributes: Mapping[str, Attributes] | None = None
    attributes_missing: bool = False


@dataclass(frozen=True, slots=True)
class BatchQueryAnswer:
    """The hits of each query, in order. `timings` are those of all together."""

    results: list[RankedHits]
    space: str
    shards_total: int
    shards_answered: int
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
