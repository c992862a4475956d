"""What a searcher is asked and what it answers, in plain values."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pixvec.domain import Hit, SearchOptions, ShardPosition


@dataclass(frozen=True, slots=True)
class ShardSearch:
    """One query vector, packed little-endian float32, for some shards of one searcher; in a batch `vector` holds `rows`
    of them, row after row. An empty `digest`: the vectors come from outside."""

    collection_id: int
    shards: tuple[int, ...]
    space: str
    vector: bytes
    k: int
    digest: bytes = b""
    min_score: float | None = None
    wait_for: tuple[ShardPosition, ...] = ()
    options: SearchOptions = field(default_factory=SearchOptions)
    rows: int = 1


@dataclass(frozen=True, slots=True)
class ShardAnswer:
    """The best hits over the shards that answered, best first."""

    hits: list[Hit]
    shards_answered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The hits of one query of a batch, best first: an id and a score each, and which of the image's rows it is; no
    `ordinals`: all are the first."""

    image_ids: list[str]
    scores: list[float]
    ordinals: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The best hits for each query of a batch over the shards that answered."""

    results: list[RankedHits]
    shards_answered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShardVectors:
    """Asks one shard for the stored vectors of some images: all rows of each, or the one that `ordinals` says."""

    collection_id: int
    shard: int
    space: str
    image_ids: tuple[str, ...]
    wait_for: tuple[ShardPosition, ...] = ()
    ordinals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardScores:
    """Asks one shard how well some images fit each of `rows` query vectors, row after row in packed little-endian
    float32. An empty `digest`: the vectors come from outside."""

    collection_id: int
    shard: int
    space: str
    vectors: bytes
    rows: int
    image_ids: tuple[str, ...]
    digest: bytes = b""
    wait_for: tuple[ShardPosition, ...] = ()


@dataclass(frozen=True, slots=True)
class RowScores:
    """One score a query vector, of an image's best row, and which of its rows that is."""

    scores: list[float]
    ordinals: list[int]


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Return hits by falling score, equal ones by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.image_id))
