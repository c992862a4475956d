"""How a searcher's time and memory grow with the vectors it holds, by the product's own settings.

Each exponent is the slope of a straight line through the logarithms: 1 is growth in proportion, 0 none.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report import Report, arguments
from benchmarks.serving import Serving
from benchmarks.vectors import K, VectorSet, add_vector_options, descriptor_set, in_parts

ROWS_A_CALL = 64


@dataclass(frozen=True, slots=True)
class Size:
    """What a number of vectors took. Bytes are those of one vector: `index` in files, `memory` resident, above an
    empty searcher, after it served and after a restart; `build_s` is the time of all builds, merges too."""

    vectors: int
    segments: int
    load_s: float
    build_s: float
    restart_s: float
    single_s: float
    batched_s: float
    index_bytes: float
    memory_bytes: float
    memory_after_restart_bytes: float
    recall: float


def measure(vectors: VectorSet, count: int, seal_rows: int | None, calls: int) -> Size:
    """Load `count` vectors, search, restart."""
    base = vectors.base[:count]
    part = VectorSet(vectors.name, vectors.origin, vectors.metric, base, vectors.queries)
    with Serving(vectors.dim, vectors.metric, seal_rows=seal_rows) as serving:
        # FAISS takes memory of its own.
        serving.warm_up()
        empty = serving.memory_bytes()
        load_s = serving.load(base)
        recall = part.recall(serving.search(vectors.queries, K))
        single_s = seconds_a_row(serving, vectors, 1, calls)
        batched_s = seconds_a_row(serving, vectors, ROWS_A_CALL, calls // 8)
        memory = serving.memory_bytes()
        restart_s = serving.restart_searcher()
        serving.search(vectors.queries, K)
        segments = serving.segments()
        return Size(
            vectors=count,
            segments=len(segments),
            load_s=load_s,
            build_s=serving.build_s(),
            restart_s=restart_s,
            single_s=single_s,
            batched_s=batched_s,
            index_bytes=sum(segment.size_bytes for segment in segments) / count,
            memory_bytes=(memory - empty) / count,
            memory_after_restart_bytes=(serving.memory_bytes() - empty) / count,
            recall=recall,
        )


def seconds_a_row(serving: Serving, vectors: VectorSet, rows_a_call: int, calls: int) -> float:
    """Search one call after the other; return the median time of a call, for each row of it."""
    requests = [serving.search_request(rows, K) for rows in in_parts(vectors.queries, rows_a_call)]
    seconds = []
    for number in range(calls):
        begun = time.perf_counter()
        serving.answer(requests[number % len(requests)])
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) / rows_a_call


def exponent(sizes: Sequence[Size], value: str) -> float:
    """Return the growth exponent of a value."""
    counts = [size.vectors for size in sizes]
    return float(np.polyfit(np.log(counts), np.log([getattr(size, value) for size in sizes]), 1)[0])


def describe(sizes: Sequence[Size], report: Report) -> None:
    """Fill the report."""
    names = {
        "batched_s": ("time a query, 64 a call, us", 1e6),
        "single_s": ("time a query, one a call, us", 1e6),
        "build_s": ("builds, s", 1),
        "load_s": ("loaded and settled in, s", 1),
        "restart_s": ("restart, s", 1),
        "index_bytes": ("bytes a vector, files", 1),
        "memory_bytes": ("bytes a vector, memory", 1),
        "memory_after_restart_bytes": ("bytes a vector, memory after a restart", 1),
    }
    largest = sizes[-1]
    for value, (name, _) in names.items():
        if min(getattr(size, value) for size in sizes) <= 0:
            # Less memory than the empty searcher takes: no size to speak of.
            continue
        # Calls cost the same at every size, which hides how searches grow: those of many rows hide the least.
        goal = {"at_most": 1.0} if value == "batched_s" else {}
        report.ratio(
            f"exponent: {name.rpartition(',')[0] if value.endswith('_s') else name}", exponent(sizes, value), **goal
        )
    report.ratio("memory less 64 bytes, over files", (largest.memory_bytes - 64) / largest.index_bytes, at_most=1.3)
    report.figure(f"restart of {largest.vectors:,}, s", largest.restart_s, at_most=10)
    for size in sizes:
        report.figure(f"{size.vectors:,}: segments", size.segments)
        report.figure(f"{size.vectors:,}: recall@{K}", size.recall)
        for value, (name, scale) in names.items():
            report.figure(f"{size.vectors:,}: {name}", getattr(size, value) * scale)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    add_vector_options(parser)
    options = parser.parse_args()
    report = Report("scale")
    counts = (5_000, 10_000, 20_000) if options.quick else (10_000, 100_000, 1_000_000)
    vectors = descriptor_set(options, counts[-1], 1024)
    report.figure("vectors", f"{vectors.origin}, {vectors.dim}-d")
    # An idle shard of few growing rows is built after a while: not to be waited for in a short run.
    seal_rows = counts[0] if options.quick else None
    describe([measure(vectors, count, seal_rows, 400 if options.quick else 2_000) for count in counts], report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
