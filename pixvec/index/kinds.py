"""The kinds of sealed segments: what each costs, which one suits, and how hard each is searched by default."""

import math
from dataclasses import dataclass

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions

# Below this many rows comparing everything takes less time than a graph's detours.
FLAT_BELOW_ROWS = 4_000
# Inverted lists of fewer rows are too short to be worth their centroids.
IVF_FROM_ROWS = 20_000

HNSW_M = 32
EF_CONSTRUCTION = 160
_TRAINING_ROWS_A_LIST = 64
# FAISS warns below so many.
_LEAST_TRAINING_ROWS_A_LIST = 39

_EXACT = frozenset({IndexKind.FLAT})
_IVF = frozenset({IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ})


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard one kind is searched: `ef` for HNSW, `nprobe` for inverted lists, `rescore` candidates a hit."""

    ef: int
    nprobe: int
    rescore: float


# Measured: docs/adr/0012-index-kinds.md.
_RESCORE = {
    IndexKind.FLAT: 0.0,
    IndexKind.FLAT_INT8: 2.0,
    IndexKind.FLAT_BINARY: 100.0,
    IndexKind.HNSW: 1.5,
    IndexKind.IVF_SQ8: 1.5,
    IndexKind.IVF_PQ: 100.0,
    IndexKind.IVF_RABITQ: 60.0,
}
_SPARE_CANDIDATES = 4
_EF_A_HIT = 2.0
_LEAST_EF = 128


def choose_kind(settings: IndexSettings, rows: int, dim: int, *, budget_bytes: int) -> IndexKind:
    """Return the kind to build for `rows` vectors that may take `budget_bytes` of memory beside their stored form."""
    if settings.kind is not IndexKind.AUTO:
        return settings.kind if settings.kind not in _IVF or rows >= IVF_FROM_ROWS else IndexKind.HNSW
    if rows < FLAT_BELOW_ROWS:
        return IndexKind.FLAT
    if rows * code_bytes(IndexKind.HNSW, dim, settings.hnsw_m or HNSW_M) <= budget_bytes:
        return IndexKind.HNSW
    if rows < IVF_FROM_ROWS:
        return IndexKind.FLAT
    return IndexKind.IVF_SQ8 if rows * code_bytes(IndexKind.IVF_SQ8, dim) <= budget_bytes else IndexKind.IVF_RABITQ


def is_outdated(kind: IndexKind, rows: int, built: IndexSettings, wanted: IndexSettings, chosen: IndexKind) -> bool:
    """Whether a segment of `kind` that was built by some settings is none that those wanted now would make, which
    choose the kind `chosen`. What `auto` chose once stays: the memory it goes by comes and goes."""
    if built.storage is not wanted.storage:
        return True
    if built.kind is not wanted.kind and kind is not chosen:
        return True
    if kind is IndexKind.HNSW:
        return _graph(built) != _graph(wanted)
    return kind in _IVF and list_count(rows, built) != list_count(rows, wanted)


def code_bytes(kind: IndexKind, dim: int, hnsw_m: int = HNSW_M) -> float:
    """Return the bytes a vector takes in an index of this kind, its stored form apart."""
    links = 8 * hnsw_m + 4 * hnsw_m / (hnsw_m - 1) + 16
    return {
        IndexKind.FLAT: 0.0,
        IndexKind.FLAT_INT8: dim,
        IndexKind.FLAT_BINARY: dim / 8 + 8,
        IndexKind.HNSW: dim + links,
        IndexKind.IVF_SQ8: dim + 8,
        IndexKind.IVF_PQ: _sub_quantisers(dim) / 2 + 8,
        IndexKind.IVF_RABITQ: dim / 8 + 16,
    }[kind]


def factory(kind: IndexKind, dim: int, rows: int, settings: IndexSettings) -> str:
    """Return FAISS's name of the index to build; none for FLAT, whose stored vectors are its index."""
    lists = list_count(rows, settings)
    return {
        IndexKind.FLAT: "",
        IndexKind.FLAT_INT8: "SQ8",
        IndexKind.FLAT_BINARY: "RaBitQ",
        IndexKind.HNSW: f"HNSW{settings.hnsw_m or HNSW_M}_SQ8",
        IndexKind.IVF_SQ8: f"IVF{lists},SQ8",
        IndexKind.IVF_PQ: f"IVF{lists},PQ{_sub_quantisers(dim)}x4fs",
        IndexKind.IVF_RABITQ: f"IVF{lists},RaBitQ",
    }[kind]


def list_count(rows: int, settings: IndexSettings) -> int:
    """Return how many inverted lists so many rows get: those asked for, or about 4√n, FAISS's own advice; in any case
    no more than the rows can train."""
    return max(1, min(settings.nlist or int(4 * math.sqrt(rows)), rows // _LEAST_TRAINING_ROWS_A_LIST))


def training_rows(kind: IndexKind, rows: int, settings: IndexSettings) -> int:
    """Return how many vectors to train on."""
    if kind in _IVF:
        return min(rows, _TRAINING_ROWS_A_LIST * list_count(rows, settings))
    return min(rows, 100_000)


def effort(
    kind: IndexKind, k: int, rows: int, settings: IndexSettings, options: SearchOptions, live_share: float = 1.0
) -> Effort:
    """Return how hard to search for k rows: what was asked for, else what reached recall@10 of 0.95 in measurements.
    Where only a share of the rows is live, as many more are to be met on the way."""
    rescore = max(0.0, options.rescore) if options.rescore else _default_rescore(kind, k)
    # FAISS makes room for as many candidates as it is asked for, whether they are there or not.
    rescore = min(rescore, max(1.0, rows / k))
    wanted = min(rows, math.ceil(k * max(1.0, rescore) / live_share))
    ef = math.ceil((options.ef or max(_LEAST_EF, int(_EF_A_HIT * k))) / live_share)
    lists = list_count(rows, settings)
    nprobe = options.nprobe or max(32, lists // 12, math.ceil(2 * wanted * lists / rows))
    return Effort(ef=max(min(ef, rows), wanted), nprobe=min(nprobe, lists), rescore=rescore)


def _default_rescore(kind: IndexKind, k: int) -> float:
    """Return how many candidates a hit are compared again: for few hits too, some more than those."""
    return max(_RESCORE[kind], (k + _SPARE_CANDIDATES) / k) if _RESCORE[kind] else 0.0


def is_exact(kind: IndexKind) -> bool:
    """Whether every search of this kind compares every stored vector."""
    return kind in _EXACT


def faiss_metric(metric: Metric) -> int:
    """Return FAISS's number for how vectors are compared; cosine is the inner product of normalised ones."""
    # METRIC_INNER_PRODUCT and METRIC_L2, without importing FAISS for two numbers.
    return 1 if metric is Metric.EUCLIDEAN else 0


def _graph(settings: IndexSettings) -> tuple[int, int]:
    return settings.hnsw_m or HNSW_M, settings.ef_construction or EF_CONSTRUCTION


def _sub_quantisers(dim: int) -> int:
    """Return how many parts of a vector get 4 bits each: one every two dimensions, up to four where two do not divide,
    and each dimension by itself where nothing does, rather than many to so few bits."""
    return next((parts for parts in range(dim // 2, (dim - 1) // 4, -1) if dim % parts == 0), dim)
