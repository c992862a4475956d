"""A segment: some rows of one space, immutable, searchable by any number of threads."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pixvec.domain import Metric
from pixvec.index.dead_rows import BoolArray
from pixvec.index.interfaces import Float32Array, Ordinals
from pixvec.index.library import load_faiss

RowArray = npt.NDArray[np.int64]


class Candidates(NamedTuple):
    """The best rows of a segment for each query, (n, fetch). `nearness` is larger-is-better; a row of -1 is none."""

    nearness: Float32Array
    rows: RowArray


class Rows(Protocol):
    """What a build or a snapshot needs of a segment: its live rows, whatever their kind."""

    def live_rows(self) -> RowArray:
        """Return the numbers of the rows that are not dead, ascending."""

    def take(self, rows: RowArray) -> Float32Array:
        """Return these rows, (len(rows), dim) float32, as they were stored."""

    def ids(self, rows: RowArray) -> list[str]:
        """Return the image of each row."""


class FlatSegment:
    """Rows compared one by one: exact. `vectors`, (rows, dim) in C order, is not copied; `dead` is (rows,), and so are
    `ordinals`, which of its image's each row is: None where all are the first.

    For cosine, vectors and queries are normalised.
    """

    def __init__(
        self,
        metric: Metric,
        vectors: Float32Array,
        image_ids: Sequence[str],
        dead: BoolArray | None = None,
        ordinals: Ordinals | None = None,
    ) -> None:
        self._by_distance = metric is Metric.EUCLIDEAN
        self._vectors = vectors
        self.image_ids = image_ids
        self.ordinals = ordinals
        self.row_count = len(vectors)
        self._dead = dead
        self.dead_count = 0 if dead is None else int(np.count_nonzero(dead))
        self._live = self._selector() if self.dead_count else None

    def candidates(self, queries: Float32Array, fetch: int) -> Candidates:
        """Return the best live rows, at most `fetch`, for each prepared query, (n, dim) float32: nearly so, as matrix
        products have it."""
        shape = (len(queries), min(fetch, self.row_count))
        # FAISS leaves what it does not find at these.
        nearness, rows = np.empty(shape, np.float32), np.full(shape, -1, np.int64)
        if rows.size:
            self._scan(queries, nearness, rows)
        if self._by_distance:
            np.negative(nearness, out=nearness)
        return Candidates(nearness, rows)

    def take(self, rows: RowArray) -> Float32Array:
        """See Rows."""
        return self._vectors[rows]

    def ids(self, rows: RowArray) -> list[str]:
        """See Rows."""
        return list(map(self.image_ids.__getitem__, rows.tolist()))

    def ordinal(self, row: int) -> int:
        """Return which of its image's rows it is."""
        return 0 if self.ordinals is None else int(self.ordinals[row])

    def live_rows(self) -> RowArray:
        """See Rows."""
        return np.arange(self.row_count) if self._dead is None else np.flatnonzero(~self._dead)

    def _scan(self, queries: Float32Array, nearness: Float32Array, rows: RowArray) -> None:
        """Do what IndexFlat.search does, without an index that would own and move the vectors."""
        faiss = load_faiss()
        count, dim = queries.shape
        found = (rows.shape[1], faiss.swig_ptr(nearness), faiss.swig_ptr(rows))
        pair = (faiss.swig_ptr(queries), faiss.swig_ptr(self._vectors), dim, count, self.row_count)
        if self._by_distance:
            faiss.knn_L2sqr(*pair, *found, None, self._live)
        else:
            faiss.knn_inner_product(*pair, *found, self._live)

    def _selector(self) -> Any:
        faiss = load_faiss()
        return faiss.IDSelectorBitmap(np.packbits(~self._dead, bitorder="little"))  # type: ignore[operator]
