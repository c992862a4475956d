"""Searches a sealed segment on a device, and has the CPU answer what the device cannot answer as well.

A device proposes rows by its own arithmetic; what is live of them is scored by the stored vectors, as every other score
is. Comparing everything on a device is exact too: an answer counts only where no row that it left out can be among the
best, however far its arithmetic is off.
"""

import math
from dataclasses import dataclass

import numpy as np

from pixvec.domain import SearchOptions
from pixvec.index.gpu import MAX_SELECTED, Declined, Found
from pixvec.index.gpu_bounds import Float64Array, fetches, lost_lengths, unseen_ceilings
from pixvec.index.gpu_loading import Loaded
from pixvec.index.gpu_sizes import Form, default_form
from pixvec.index.interfaces import Float32Array
from pixvec.index.kinds import effort
from pixvec.index.sealed import LiveRows, SealedSegment
from pixvec.index.segment import Candidates, RowArray
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import GPU_QUERIES

log = get_logger(__name__)

# Where fewer are live, as under a strict filter, a device would mostly return rows that are not wanted.
_LEAST_LIVE_SHARE = 0.5
# Rows asked for beyond twice as many as are wanted, so that the first look proves the answer, as a rule.
_SPARE_ROWS = 32


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one search goes: `wanted` live rows are enough; the best `scored` of those found count, all for None."""

    loaded: Loaded
    wanted: int
    spare: int
    nprobe: int = 0
    scored: int | None = None
    is_exact: bool = True


class DeviceSearch:
    """A SegmentSearch. `loaded` holds the forms of the segment that a device has; whoever loads them puts them there
    and takes them away, at any time."""

    def __init__(self, segment: SealedSegment) -> None:
        self._segment = segment
        self.loaded: dict[Form, Loaded] = {}

    def search(self, queries: Float32Array, fetch: int, options: SearchOptions, live: LiveRows | None) -> Candidates:
        """See SealedSegment."""
        form = Form.FLAT if options.exact else default_form(self._segment.seal.kind)
        loaded = None if form is None else self.loaded.get(form)
        if loaded is None or loaded.has_failed:
            return self._segment.search_mapped(queries, fetch, options, live)
        k = min(fetch, self._segment.row_count)
        answers = Candidates(np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), -1, np.int64))
        cause = self._answer(answers, loaded, queries, options, live)
        rest = np.flatnonzero(answers.rows[:, 0] < 0)
        GPU_QUERIES.labels("gpu").inc(len(queries) - len(rest))
        if len(rest):
            GPU_QUERIES.labels(cause).inc(len(rest))
            answers.nearness[rest], answers.rows[rest] = self._segment.search_mapped(queries[rest], k, options, live)
        return answers

    def _answer(
        self,
        answers: Candidates,
        loaded: Loaded,
        queries: Float32Array,
        options: SearchOptions,
        live: LiveRows | None,
    ) -> str:
        """Fill in what the device can answer, and return in one word why it is not all."""
        try:
            plan = self._plan(loaded, answers.rows.shape[1], options, live)
            self._fill(answers, plan, queries, live)
        except Declined as declined:
            if declined.cause == "failed":
                loaded.has_failed = True
                log.warning("gpu_search_failed", segment=self._segment.seal.name, error=str(declined))
            return declined.cause
        return "unproved"

    def _plan(self, loaded: Loaded, k: int, options: SearchOptions, live: LiveRows | None) -> _Plan:
        seal = self._segment.seal
        live_share = 1.0 if live is None else live.count / seal.rows
        if live_share < _LEAST_LIVE_SHARE:
            raise Declined("dead", f"{live_share:.0%} of the rows are live")
        if options.exact or default_form(seal.kind) is Form.FLAT:
            return _Plan(loaded, wanted=k, spare=k + _SPARE_ROWS)
        hard = effort(seal.kind, k, seal.rows, seal.settings, options, live_share)
        if hard.nprobe > MAX_SELECTED:
            raise Declined("limit", f"{hard.nprobe} lists are to be looked through")
        wanted = math.ceil(k * max(1.0, hard.rescore))
        return _Plan(loaded, min(wanted, seal.rows), 0, hard.nprobe, wanted, is_exact=False)

    def _fill(self, answers: Candidates, plan: _Plan, queries: Float32Array, live: LiveRows | None) -> None:
        total = self._segment.row_count
        lost = lost_lengths(queries, half=plan.loaded.half)
        tries = list(fetches(plan.wanted, plan.spare, total, total if live is None else live.count))
        if not tries:
            raise Declined("limit", f"{plan.wanted} rows are wanted")
        left = np.flatnonzero(np.isfinite(lost))
        for fetch in tries:
            if not len(left):
                return
            found = plan.loaded.owner.search(plan.loaded.index, queries[left], fetch, plan.nprobe)
            ceilings = self._ceilings(plan, queries[left], found, lost[left])
            for place, rows, ceiling in zip(left.tolist(), found.rows, ceilings.tolist(), strict=True):
                best = self._best(plan, queries[place], rows, ceiling, answers.rows.shape[1], live)
                if best is not None:
                    answers.nearness[place, : len(best.rows)], answers.rows[place, : len(best.rows)] = best
            left = left[answers.rows[left, 0] < 0]

    def _ceilings(self, plan: _Plan, queries: Float32Array, found: Found, lost: Float64Array) -> Float64Array:
        if not plan.is_exact:
            return np.full(len(queries), -np.inf)
        metric = self._segment.space.metric
        return unseen_ceilings(metric, queries, found.distances[:, -1], lost, plan.loaded.longest)

    def _best(
        self, plan: _Plan, query: Float32Array, rows: RowArray, ceiling: float, k: int, live: LiveRows | None
    ) -> Candidates | None:
        """Return the best k of the rows that a device returned, or None where others may be as good as those."""
        is_all = rows[-1] < 0 or len(rows) == self._segment.row_count
        there = rows[rows >= 0]
        if live is not None:
            there = there[~live.dead[there]]
        there = there[: plan.scored]
        most = self._segment.row_count if live is None else live.count
        if len(there) < (min(k, most) if is_all else plan.wanted):
            return None
        scores = self._segment.scores(query, there)
        order = np.argsort(-scores, kind="stable")[:k]
        if not is_all and scores[order[-1]] <= ceiling:
            return None
        return Candidates(scores[order], there[order])
