"""What a searcher is asked and what it answers, in plain values."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pixvec.domain import Hit, SearchOptions, ShardPosition


@dataclass(frozen=True, slots=True)
class ShardSearch:
    """One query vector, packed little-endian float32, for some shards of one searcher. An empty `digest`: the vector
    comes from outside."""

    collection_id: int
    shards: tuple[int, ...]
    space: str
    vector: bytes
    k: int
    digest: bytes = b""
    min_score: float | None = None
    wait_for: tuple[ShardPosition, ...] = ()
    options: SearchOptions = field(default_factory=SearchOptions)


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """The best hits over the shards that answered, best first."""

    hits: list[Hit]
    shards_answered: tuple[int, ...]


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Return hits by falling score, equal ones by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))
