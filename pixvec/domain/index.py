"""How vectors are compared, stored and searched."""

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """How two vectors are compared. Scores are larger-is-better for every metric."""

    COSINE = "cosine"
    INNER_PRODUCT = "inner_product"
    EUCLIDEAN = "euclidean"


class IndexKind(StrEnum):
    """How the sealed segments of a space are searched. Growing segments are always exact."""

    # By number of vectors and memory.
    AUTO = "auto"
    # Every stored vector is compared.
    FLAT = "flat"
    # Every vector is compared by its 8-bit codes.
    FLAT_INT8 = "flat_int8"
    # Every vector is compared by one bit a dimension (RaBitQ).
    FLAT_BINARY = "flat_binary"
    # A navigable small-world graph over 8-bit codes.
    HNSW = "hnsw"
    # Inverted lists of 8-bit codes.
    IVF_SQ8 = "ivf_sq8"
    # Inverted lists of 4-bit product codes, scanned in registers.
    IVF_PQ = "ivf_pq"
    # Inverted lists of one bit a dimension.
    IVF_RABITQ = "ivf_rabitq"


class VectorStorage(StrEnum):
    """How the vectors themselves are kept: what exact search and rescoring compare."""

    FLOAT16 = "float16"
    FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The index of one space. Zero stands for the default of the kind: see docs/adr/0012.

    `hnsw_m`: links a vector; `ef_construction`: candidates while building; `nlist`: inverted lists a segment.
    """

    kind: IndexKind = IndexKind.AUTO
    storage: VectorStorage = VectorStorage.FLOAT16
    hnsw_m: int = 0
    ef_construction: int = 0
    nlist: int = 0


@dataclass(frozen=True, slots=True)
class IndexStanding:
    """How the index of one shard stands. Rows are vectors, the deleted ones included; `kinds` are those of its sealed
    segments, each once; `build_error` says why the last build failed."""

    segment_count: int = 0
    kinds: tuple[IndexKind, ...] = ()
    growing_rows: int = 0
    sealed_rows: int = 0
    writes_pushed_back: bool = False
    build_error: str = ""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How hard to search. `exact` compares every stored vector. Zero stands for the default: `ef` of HNSW, `nprobe` of
    inverted lists; `rescore`: how many times `limit` candidates are compared again by their stored vectors, -1 none."""

    exact: bool = False
    ef: int = 0
    nprobe: int = 0
    rescore: float = 0.0
