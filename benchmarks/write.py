"""Writes beside searches: what a shard applies while it is searched, and what building does to those who search.

A process of its own pushes 64 vectors a call, one call after the other, as a worker does; builds go on as they come.
Then everything is built anew, and the builds halted and let go on in turns: what they cost searches is the ratio of the
two.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import uvloop

from benchmarks.load import Load
from benchmarks.pushing import Pushed, PushingProcess
from benchmarks.report import Report, arguments
from benchmarks.serving import Serving
from benchmarks.vectors import Float32Array, K, VectorSet, add_vector_options, descriptor_set, in_parts
from pixvec.index.kinds import EF_CONSTRUCTION

CALLERS = 8
ROWS_A_PUSH = 64
_BUILD_BEGINS_S = 5.0
_SLACK = 1e-6


class Searching:
    """Eight callers who search for one vector at a time, as a gateway calls for them."""

    def __init__(self, serving: Serving, queries: Float32Array) -> None:
        self._serving = serving
        self._queries = queries

    def run(self, seconds: float) -> Load:
        """Search for some seconds."""
        return uvloop.run(self._serving.drive_as_gateway(self._queries, K, CALLERS, seconds))

    def recall(self) -> float:
        """Return the share of the exact answer that searches find now: an image as near as the last of it counts."""
        found = total = 0
        for rows in in_parts(self._queries[:512], ROWS_A_PUSH):
            approximate = self._serving.answer(self._serving.search_request(rows, K)).rows
            exact = self._serving.answer(self._serving.search_request(rows, K, exact=True)).rows
            for near, nearest in zip(approximate, exact, strict=True):
                found += sum(score >= nearest.scores[-1] - _SLACK * abs(nearest.scores[-1]) for score in near.scores)
                total += len(nearest.scores)
        return found / total


def beside_builds(serving: Serving, searching: Searching, turns: int, seconds: float) -> tuple[list[Load], list[Load]]:
    """Search while a build is halted and while it goes on, in turns; return what was seen of each. Stops early when no
    build is left; ends the program when there was none."""
    halted: list[Load] = []
    going_on: list[Load] = []
    while len(going_on) < turns and (builder := _builder(serving)) is not None:
        builder.suspend()
        without = searching.run(seconds)
        builder.resume()
        beside = searching.run(seconds)
        # One that ended meanwhile was not there all the time.
        if builder.is_running():
            halted.append(without)
            going_on.append(beside)
    if not going_on:
        raise SystemExit("The run is void: no build took long enough.")
    return halted, going_on


def _builder(serving: Serving) -> psutil.Process | None:
    """Return the process that builds, once there is one."""
    give_up_at = time.monotonic() + _BUILD_BEGINS_S
    while (builder := serving.builder()) is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return builder


def _p99_s(loads: Sequence[Load]) -> float:
    return float(np.percentile(np.concatenate([load.latencies_s for load in loads]), 99))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run saw. Recalls: before the writes, right after them, and once everything is built."""

    quiet: Load
    idle: Pushed
    beside_writes: Load
    busy: Pushed
    halted: Sequence[Load]
    going_on: Sequence[Load]
    recalls: tuple[float, float, float]


def run(vectors: VectorSet, at_first: int, seal_rows: int | None, seconds: float) -> Seen:
    """Search, write, do both, and search beside builds."""
    base, fresh = vectors.base[:at_first], vectors.base[at_first:]
    with TemporaryDirectory() as folder, Serving(vectors.dim, vectors.metric, seal_rows=seal_rows) as serving:
        serving.load(base)
        searching = Searching(serving, vectors.queries)
        recall_before, quiet = searching.recall(), searching.run(seconds)
        with PushingProcess(serving.address, fresh, serving.pusher, ROWS_A_PUSH, Path(folder) / "rows.npy") as pushing:
            idle = pushing.start(seconds, len(fresh) // 2).result()
            serving.wait_settled()
            writes = pushing.start(seconds, len(fresh))
            beside_writes = searching.run(seconds)
            busy = writes.result()
            recall_after = searching.recall()
        serving.wait_settled()
        recalls = (recall_before, recall_after, searching.recall())
        # Other settings have every segment built again: long builds, with nothing growing.
        serving.use_index(ef_construction=EF_CONSTRUCTION + 1)
        halted, going_on = beside_builds(serving, searching, turns=5, seconds=seconds / 8)
    return Seen(quiet, idle, beside_writes, busy, halted, going_on, recalls)


def describe(seen: Seen, report: Report) -> None:
    """Fill the report."""
    before, after, settled = seen.recalls
    p99_s, p99_building_s = _p99_s(seen.halted), _p99_s(seen.going_on)
    report.ratio(f"applied beside {CALLERS} callers over idle", seen.busy.rate / seen.idle.rate, at_least=0.5)
    report.ratio("recall right after the writes over before", after / before, at_least=0.99)
    report.ratio("recall once all is built over before", settled / before, at_least=0.99)
    report.ratio("p99 of searches, build going on over halted", p99_building_s / p99_s, at_most=2.0)
    report.ratio(
        "p99 of searches, beside writes over quiet", seen.beside_writes.percentile(99) / seen.quiet.percentile(99)
    )
    report.figure("applied, idle, vectors/s", seen.idle.rate)
    report.figure(f"applied beside {CALLERS} callers, vectors/s", seen.busy.rate)
    report.figure("rows written, idle and beside searches", seen.idle.rows + seen.busy.rows)
    report.figure("writes pushed back, s", seen.idle.pushed_back_s + seen.busy.pushed_back_s)
    report.figure(f"recall@{K} against exact, before", before)
    report.figure("searches/s, quiet", seen.quiet.rate)
    report.figure("searches/s, beside writes", seen.beside_writes.rate)
    for name, seconds in {
        "quiet": seen.quiet.percentile(99),
        "beside writes": seen.beside_writes.percentile(99),
        "build halted": p99_s,
        "build going on": p99_building_s,
    }.items():
        report.figure(f"p99, ms, {name}", 1e3 * seconds)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    add_vector_options(parser)
    options = parser.parse_args()
    report = Report("write")
    at_first, fresh, seal_rows, seconds = (
        (10_000, 60_000, 2_000, 2.0) if options.quick else (300_000, 500_000, None, 20.0)
    )
    vectors = descriptor_set(options, at_first + fresh, 512)
    report.figure("vectors", f"{vectors.origin}: {at_first:,} × {vectors.dim} at first")
    describe(run(vectors, at_first, seal_rows, seconds), report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
