"""Exact search over the growing segments of a space: FAISS proposes, each pair is scored by itself, and what is near
the cut is looked at again."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixvec.domain import Metric
from pixvec.index.interfaces import Float32Array, ShardHits, SpaceSpec
from pixvec.index.merge import best_images
from pixvec.index.rows import exact_scores, row_lengths
from pixvec.index.segment import FlatSegment, RowArray

# Rows fetched beyond k, so that a near tie at the cut seldom needs a second look.
_SPARE_ROWS = 8
# Where this many rows are nearly equal at the cut, those found first are taken.
_MAX_TIED_ROWS = 4096
# How far a segment's own arithmetic may be from the exact score, relative to the lengths of the vectors.
_NEARNESS_ERROR = 1e-5


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Candidate rows of all segments for each query: (n, total) each; a row of -1 is none."""

    nearness: Float32Array
    segments: npt.NDArray[np.int32]
    rows: RowArray


@dataclass(frozen=True, slots=True)
class GrowingView:
    """The growing segments of a space at one moment. `max_length` is at least that of the longest vector."""

    space: SpaceSpec
    segments: tuple[FlatSegment, ...] = ()
    max_length: float = 0.0

    @property
    def row_count(self) -> int:
        """Rows, the dead ones included."""
        return sum(segment.row_count for segment in self.segments)

    @property
    def live_count(self) -> int:
        """Rows a search can find."""
        return sum(segment.row_count - segment.dead_count for segment in self.segments)

    @property
    def has_ordinals(self) -> bool:
        """Whether an image may have several rows."""
        return any(segment.ordinals is not None for segment in self.segments)

    def search(self, prepared: Float32Array, k: int) -> list[ShardHits]:
        """Return the best k images for each prepared query, (n, dim) float32."""
        live = self.live_count
        hits: list[ShardHits | None] = [None] * len(prepared)
        open_queries = np.arange(len(prepared))
        fetch = k + _SPARE_ROWS
        while len(open_queries):
            fetched = self._fetch(prepared[open_queries], fetch)
            still_open = []
            for place, query in enumerate(open_queries):
                found = self._rank(prepared[query], fetched, place, k)
                if fetch >= live or self._is_settled(prepared[query], fetched.nearness[place], found, k):
                    hits[query] = found
                else:
                    still_open.append(query)
            open_queries = np.array(still_open, dtype=np.intp)
            fetch *= 4
        return [found for found in hits if found is not None]

    def _fetch(self, queries: Float32Array, fetch: int) -> _Fetched:
        """Return the `fetch` nearest rows over all segments, in no order."""
        parts = [segment.candidates(queries, fetch) for segment in self.segments]
        if len(parts) == 1:
            (only,) = parts
            return _Fetched(only.nearness, np.zeros(only.rows.shape, np.int32), only.rows)
        if not parts:
            nothing = (len(queries), 0)
            return _Fetched(np.empty(nothing, np.float32), np.empty(nothing, np.int32), np.empty(nothing, np.int64))
        nearness = np.concatenate([part.nearness for part in parts], axis=1)
        rows = np.concatenate([part.rows for part in parts], axis=1)
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [part.rows.shape[1] for part in parts])
        segments = np.broadcast_to(numbers, rows.shape)
        # What a segment did not find must not crowd out what others did.
        nearness[rows < 0] = -np.inf
        if rows.shape[1] > fetch:
            best = np.argpartition(-nearness, fetch - 1, axis=1)[:, :fetch]
            nearness, rows, segments = (np.take_along_axis(part, best, axis=1) for part in (nearness, rows, segments))
        return _Fetched(nearness, segments, rows)

    def _rank(self, query: Float32Array, fetched: _Fetched, place: int, k: int) -> ShardHits:
        """Return the best k images among one query's candidates, by their exact scores."""
        ids: list[str] = []
        scores: list[float] = []
        ordinals: list[int] | None = [] if self.has_ordinals else None
        segments, rows = fetched.segments[place], fetched.rows[place]
        for number, segment in enumerate(self.segments):
            mine = rows[(segments == number) & (rows >= 0)]
            if len(mine):
                scores += exact_scores(self.space.metric, query, segment.take(mine)).tolist()
                ids += map(segment.image_ids.__getitem__, mine.tolist())
                if ordinals is not None:
                    ordinals += [0] * len(mine) if segment.ordinals is None else segment.ordinals[mine].tolist()
        return best_images(ids, scores, k, ordinals)

    def _is_settled(self, query: Float32Array, nearness: Float32Array, found: ShardHits, k: int) -> bool:
        """Whether no row beyond those fetched can be among the best k."""
        if len(found.image_ids) < k:
            return False
        if len(nearness) >= k + _MAX_TIED_ROWS:
            return True
        cut = float(found.scores[-1])
        length = 1.0 if self.space.metric is Metric.COSINE else float(row_lengths(query[None])[0])
        if self.space.metric is Metric.EUCLIDEAN:
            return float(nearness.min()) < -(cut**2) - _NEARNESS_ERROR * (length + self.max_length) ** 2
        return float(nearness.min()) < cut - _NEARNESS_ERROR * length * self.max_length
