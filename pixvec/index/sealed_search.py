"""Search over the sealed segments of a space: each proposes scored rows, the best of all become hits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pixvec.domain import SearchOptions
from pixvec.index.dead_rows import BoolArray
from pixvec.index.interfaces import Float32Array, ShardHits
from pixvec.index.kinds import is_exact
from pixvec.index.merge import best_images
from pixvec.index.rows import in_slices, pair_scores
from pixvec.index.sealed import LiveRows, SealedSegment
from pixvec.index.segment import RowArray

# Exact answers are in order of ids among equal scores: so many more rows show whether the cut goes through equal ones.
_SPARE_ROWS = 8
# Where this many rows are equal at the cut, those found first are taken.
_MAX_TIED_ROWS = 4096
# How far a score as FAISS sums it up may be from the exact one, relative to the best hit's or to its own.
_SUMMING_ERROR = 1e-6
# Several rows of one image are one hit: so many are asked for at first.
_ROWS_AN_IMAGE = 4


@dataclass(frozen=True, slots=True)
class SealedView:
    """A sealed segment and which of its rows, (rows,), are dead at one moment."""

    segment: SealedSegment
    dead: BoolArray | None = None
    dead_count: int = 0
    live: LiveRows | None = field(default=None, repr=False)

    @property
    def row_count(self) -> int:
        """Rows, the dead ones included."""
        return self.segment.row_count

    def live_rows(self) -> RowArray:
        """See Rows."""
        return np.arange(self.row_count) if self.dead is None else np.flatnonzero(~self.dead)

    def take(self, rows: RowArray) -> Float32Array:
        """See Rows."""
        return self.segment.take(rows)

    def ids(self, rows: RowArray) -> list[str]:
        """See Rows."""
        return self.segment.ids.ids(rows)


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of all segments for each query, best first: (n, total) each; a score of -inf is none. `floor`, (n,):
    what was not fetched is no better, as FAISS sums up."""

    scores: Float32Array
    segments: npt.NDArray[np.intp] | None
    rows: RowArray
    floor: Float32Array


def search_sealed(
    views: Sequence[SealedView], queries: Float32Array, k: int, options: SearchOptions
) -> list[ShardHits]:
    """Return the best k images for each prepared query, (n, dim) float32, with the scores that `pair_scores` has."""
    exact = options.exact or all(is_exact(view.segment.seal.kind) for view in views)
    single = all(view.segment.ids.is_one_row_each for view in views)
    most = max(view.row_count for view in views)
    fetch = (k if single else k * _ROWS_AN_IMAGE) + (_SPARE_ROWS if exact else 0)
    if single and not exact:
        # Nothing that more rows could change.
        return _to_hits(views, _fetch(views, queries, fetch, options), k, single=True, exact=False)
    hits: list[ShardHits | None] = [None] * len(queries)
    unsettled = np.arange(len(queries))
    while len(unsettled):
        found = _fetch(views, queries[unsettled], fetch, options)
        answers = _to_hits(views, found, k, single=single, exact=exact)
        tied = exact and fetch < k + _MAX_TIED_ROWS
        settled = np.ones(len(unsettled), np.bool_) if fetch >= most else _settled(found, answers, k, tied=tied)
        for place in np.flatnonzero(settled).tolist():
            hits[unsettled[place]] = answers[place]
        unsettled = unsettled[~settled]
        fetch *= 4
    return [found for found in hits if found is not None]


def _fetch(views: Sequence[SealedView], queries: Float32Array, fetch: int, options: SearchOptions) -> _Found:
    return _scored_again(views, queries, _propose(views, queries, fetch, options))


def _propose(views: Sequence[SealedView], queries: Float32Array, fetch: int, options: SearchOptions) -> _Found:
    parts = [view.segment.search(queries, fetch, options, view.live) for view in views]
    if len(parts) == 1:
        return _sorted(parts[0].nearness, None, parts[0].rows)
    scores = np.concatenate([part.nearness for part in parts], axis=1)
    rows = np.concatenate([part.rows for part in parts], axis=1)
    numbers = np.repeat(np.arange(len(parts)), [part.rows.shape[1] for part in parts])
    # Once a segment has given all it has, none of it may be cut off: another look would bring no more.
    width = fetch if fetch < max(view.row_count for view in views) else None
    return _sorted(scores, np.broadcast_to(numbers, rows.shape), rows, width)


def _sorted(
    scores: Float32Array, segments: npt.NDArray[np.intp] | None, rows: RowArray, width: int | None = None
) -> _Found:
    """Return the best `width`, all unless said, in order. Those of one segment are sorted already, as a rule."""
    if segments is None and not (scores[:, 1:] > scores[:, :-1]).any():
        return _Found(scores, None, rows, scores[:, -1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    chosen = None if segments is None else np.take_along_axis(segments, order, axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    return _Found(scores, chosen, np.take_along_axis(rows, order, axis=1), scores[:, -1])


def _scored_again(views: Sequence[SealedView], queries: Float32Array, found: _Found) -> _Found:
    """Return the same rows with the scores that a growing row would have: one pair, one score, in float64."""
    rows = np.maximum(found.rows, 0)
    scores = np.empty(rows.shape, np.float32)
    for some in in_slices(rows.shape, queries.shape[1]):
        vectors = _vectors(views, None if found.segments is None else found.segments[some], rows[some])
        scores[some] = pair_scores(views[0].segment.space.metric, queries[some[0]], vectors)
    np.copyto(scores, -np.inf, where=found.scores == -np.inf)
    return replace(_sorted(scores, found.segments, found.rows), floor=found.floor)


def _vectors(views: Sequence[SealedView], segments: npt.NDArray[np.intp] | None, rows: RowArray) -> Float32Array:
    if segments is None:
        return views[0].take(rows)
    vectors = np.empty((*rows.shape, views[0].segment.space.dim), np.float32)
    for number, view in enumerate(views):
        mine = segments == number
        vectors[mine] = view.take(rows[mine])
    return vectors


def _to_hits(views: Sequence[SealedView], found: _Found, k: int, *, single: bool, exact: bool) -> list[ShardHits]:
    scores, rows = found.scores, found.rows
    if single and not exact:
        # Ties at the cut may reorder what lies beyond it.
        scores, rows = scores[:, : k + _SPARE_ROWS], rows[:, : k + _SPARE_ROWS]
    ids = _ids(views, found.segments, rows)
    counts = np.count_nonzero(scores > -np.inf, axis=1)
    tied = (scores[:, 1:] == scores[:, :-1]) & (scores[:, 1:] > -np.inf)
    if single and not tied.any():
        return [
            ShardHits(own[:count], row[:count])
            for own, row, count in zip(ids, scores, np.minimum(counts, k).tolist(), strict=True)
        ]
    ordinals = [None] * len(ids) if single else [*_ordinals(views, found.segments, rows)]
    return [
        best_images(own[:count], row[:count], k, which and which[:count])
        for own, row, count, which in zip(ids, scores.tolist(), counts.tolist(), ordinals, strict=True)
    ]


def _ids(views: Sequence[SealedView], segments: npt.NDArray[np.intp] | None, rows: RowArray) -> list[list[str]]:
    """Return the image of each row; that of a row that is none means nothing."""
    n, width = rows.shape
    if segments is None:
        flat = views[0].ids(np.maximum(rows, 0).ravel())
        return [flat[place * width : (place + 1) * width] for place in range(n)]
    all_ids = np.empty(rows.shape, object)
    for number, view in enumerate(views):
        mine = (segments[:, :width] == number) & (rows >= 0)
        all_ids[mine] = view.ids(rows[mine])
    listed: list[list[str]] = all_ids.tolist()
    return listed


def _ordinals(views: Sequence[SealedView], segments: npt.NDArray[np.intp] | None, rows: RowArray) -> list[list[int]]:
    """Return which of its image's each row is; that of a row that is none means nothing."""
    ordinals: RowArray = np.zeros(rows.shape, np.int64)
    for number, view in enumerate(views):
        mine = rows >= 0 if segments is None else (segments == number) & (rows >= 0)
        ordinals[mine] = view.segment.ids.ordinals(rows[mine])
    listed: list[list[int]] = ordinals.tolist()
    return listed


def _is_clear(found: _Found, answers: Sequence[ShardHits]) -> BoolArray:
    """Return for each query whether what was not fetched is below its last hit: what is as near it as FAISS's sums are
    off may be above it."""
    ends = np.array([(hits.scores[0], hits.scores[-1]) if len(hits.scores) else (0.0, 0.0) for hits in answers])
    clear: BoolArray = found.floor < ends[:, 1] - _SUMMING_ERROR * np.abs(ends).max(axis=1)
    return clear


def _settled(found: _Found, answers: Sequence[ShardHits], k: int, *, tied: bool) -> BoolArray:
    """Return for each query whether no further row could change its answer: be a missing image's or, where `tied` rows
    are looked for, be equal to the last one."""
    enough = np.array([len(hits.image_ids) >= k for hits in answers])
    exhausted = found.floor == -np.inf
    settled: BoolArray = exhausted | (enough & _is_clear(found, answers) if tied else enough)
    return settled
