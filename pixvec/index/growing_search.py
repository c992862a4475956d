"""Exact search over the growing segments of a space: FAISS proposes, each pair is scored by itself, and what is near
the cut is looked at again."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixvec.domain import Metric
from pixvec.index.interfaces import Float32Array, ShardHits, SpaceSpec
from pixvec.index.merge import best_images
from pixvec.index.rows import in_slices, pair_scores, row_lengths
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
            ranked = self._ranked(fetched, self._scores(prepared[open_queries], fetched), k)
            still_open = []
            for place, query in enumerate(open_queries.tolist()):
                found = ranked[place]
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

    def _scores(self, queries: Float32Array, fetched: _Fetched) -> Float32Array:
        """Return the exact score of each candidate, (n, total); a row that is none comes last."""
        scores = np.empty(fetched.rows.shape, np.float32)
        for some in in_slices(scores.shape, queries.shape[1]):
            vectors = self._vectors(fetched.segments[some], np.maximum(fetched.rows[some], 0))
            scores[some] = pair_scores(self.space.metric, queries[some[0]], vectors)
        np.copyto(scores, -np.inf, where=fetched.rows < 0)
        return scores

    def _vectors(self, segments: npt.NDArray[np.int32], rows: RowArray) -> Float32Array:
        if len(self.segments) == 1:
            return self.segments[0].take(rows)
        vectors = np.empty((*rows.shape, self.space.dim), np.float32)
        for number, segment in enumerate(self.segments):
            mine = segments == number
            vectors[mine] = segment.take(rows[mine])
        return vectors

    def _ranked(self, fetched: _Fetched, scores: Float32Array, k: int) -> list[ShardHits]:
        """Return the best k images for each query among its candidates, by their exact scores."""
        order = np.argsort(-scores, axis=1, kind="stable")
        ranked = scores[np.arange(len(scores))[:, None], order]
        counts = np.count_nonzero(fetched.rows >= 0, axis=1).tolist()
        if self.has_ordinals or ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] > -np.inf)).any():
            # An image of several rows is found once, and equal scores are in order of ids.
            return [
                self._best(fetched, place, order[place, :count], ranked[place], k) for place, count in enumerate(counts)
            ]
        return [
            ShardHits(self._ids(fetched, place, order[place, : min(k, count)]), ranked[place, : min(k, count)])
            for place, count in enumerate(counts)
        ]

    def _best(
        self, fetched: _Fetched, place: int, chosen: npt.NDArray[np.intp], scores: Float32Array, k: int
    ) -> ShardHits:
        ordinals = None
        if self.has_ordinals:
            numbers, rows = fetched.segments[place, chosen].tolist(), fetched.rows[place, chosen].tolist()
            ordinals = [self.segments[number].ordinal(row) for number, row in zip(numbers, rows, strict=True)]
        return best_images(self._ids(fetched, place, chosen), scores[: len(chosen)].tolist(), k, ordinals)

    def _ids(self, fetched: _Fetched, place: int, chosen: npt.NDArray[np.intp]) -> list[str]:
        """Return the images of some of a query's candidates."""
        rows = fetched.rows[place, chosen]
        if len(self.segments) == 1:
            return self.segments[0].ids(rows)
        numbers = fetched.segments[place, chosen].tolist()
        return [self.segments[number].image_ids[row] for number, row in zip(numbers, rows.tolist(), strict=True)]

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
