"""What a query asks and what it is answered, in plain values."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pixvec.domain import Attributes, Consistency, Hit, SearchOptions, SeqToken

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


class Deadline:
    """The moment by which a call has to be answered."""

    __slots__ = ("_at",)

    def __init__(self, left_s: float) -> None:
        self._at = time.monotonic() + left_s

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._at - time.monotonic())
