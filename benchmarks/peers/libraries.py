"""Libraries: an index in this process, and nothing around it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.load import CORES
from benchmarks.peers.peer import Peer
from benchmarks.vectors import Float32Array
from pixvec.domain import Metric

_EF_CONSTRUCTION = 100


class HnswLib(Peer):
    """hnswlib with 16 links a vector, its default."""

    name = "hnswlib"
    what = "library: HNSW over float32"
    served = False
    graph = f"M 16, ef {_EF_CONSTRUCTION}, float32"
    links = 16

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        import hnswlib

        self._index = hnswlib.Index(space="l2" if self.metric is Metric.EUCLIDEAN else "ip", dim=self.dim)
        self._index.init_index(max_elements=len(base), ef_construction=_EF_CONSTRUCTION, M=self.links)
        self._index.set_num_threads(CORES)
        self._index.add_items(base, np.arange(len(base)))

    def prepare(self, effort: int) -> None:
        """See Peer."""
        self._index.set_ef(effort)

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:  # noqa: ARG002
        """See Peer."""
        return self._index.knn_query(queries, k, num_threads=1)[0]

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        listed: list[list[int]] = answer.tolist()
        return listed

    def index_bytes(self) -> int:
        """See Peer."""
        kept = self.folder / "index"
        self._index.save_index(str(kept))
        return kept.stat().st_size


class HnswLib32(HnswLib):
    """hnswlib with 32 links a vector, as many as pixvec's graphs have."""

    name = "hnswlib, M 32"
    graph = f"M 32, ef {_EF_CONSTRUCTION}, float32"
    links = 32


class USearch(Peer):
    """usearch over float16 numbers."""

    name = "usearch, f16"
    what = "library: HNSW over float16"
    served = False
    graph = f"M 16, ef {_EF_CONSTRUCTION}, float16"
    numbers = "f16"

    def build(self, base: Float32Array) -> None:
        """See Peer."""
        from usearch.index import Index

        self._index = Index(
            ndim=self.dim,
            metric="l2sq" if self.metric is Metric.EUCLIDEAN else "ip",
            dtype=self.numbers,
            connectivity=16,
            expansion_add=_EF_CONSTRUCTION,
        )
        self._index.add(np.arange(len(base)), self.numbers_of(base), threads=CORES)

    def prepare(self, effort: int) -> None:
        """See Peer."""
        self._index.expansion_search = effort

    def search(self, queries: Float32Array, k: int, effort: int) -> Any:  # noqa: ARG002
        """See Peer."""
        return self._index.search(self.numbers_of(queries), k, threads=1)

    def rows(self, answer: Any) -> Sequence[Sequence[int]]:
        """See Peer."""
        listed: list[list[int]] = np.atleast_2d(answer.keys).astype(int).tolist()
        return listed

    def index_bytes(self) -> int:
        """See Peer."""
        kept = self.folder / "index"
        self._index.save(str(kept))
        return kept.stat().st_size

    def numbers_of(self, rows: Float32Array) -> Any:
        """Return rows as the index takes them."""
        return rows


class USearchInt8(USearch):
    """usearch over 8-bit numbers."""

    name = "usearch, i8"
    what = "library: HNSW over int8"
    graph = f"M 16, ef {_EF_CONSTRUCTION}, int8"
    numbers = "i8"

    def numbers_of(self, rows: Float32Array) -> Any:
        """Return rows as int8: numbers from 0 to 255 are halved, what has length one is stretched."""
        scale = 0.5 if self.metric is Metric.EUCLIDEAN else 127.0
        return np.clip(np.rint(rows * scale), -127, 127).astype(np.int8)
