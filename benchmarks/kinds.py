"""Every kind of sealed segment on the same vectors: recall@10, time a query, bytes a vector and time to build.

What the defaults of `pixvec.index.kinds` are chosen by. One thread searches, query by query, in this process; a build
has every core.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.report import Report, arguments
from benchmarks.vectors import K, VectorSet, add_vector_options, descriptor_set, image_set
from pixvec.domain import IndexKind, IndexSettings, SearchOptions
from pixvec.index.building import write_index, write_rows
from pixvec.index.interfaces import SpaceSpec
from pixvec.index.kinds import is_exact
from pixvec.index.rows import prepare_rows, stored_rows
from pixvec.index.sealed import SealedSegment, SegmentSeal, open_sealed

KINDS = [kind for kind in IndexKind if kind is not IndexKind.AUTO]
DEFAULTS = SearchOptions()
GRAPH_EFFORTS = (DEFAULTS, SearchOptions(ef=32), SearchOptions(ef=128))
LIST_EFFORTS = (DEFAULTS, SearchOptions(nprobe=16), SearchOptions(nprobe=128))


def built(vectors: VectorSet, kind: IndexKind, folder: Path) -> tuple[SealedSegment, float]:
    """Write a segment of all vectors as a searcher does; return it and the seconds it took."""
    settings = IndexSettings(kind)
    space = SpaceSpec("image", vectors.dim, vectors.metric, index=settings)
    begun = time.perf_counter()
    rows = stored_rows(vectors.base, space)
    files = write_rows(folder, space, lambda: [([str(number) for number in range(len(rows))], rows)])
    if not is_exact(kind):
        threads = len(os.sched_getaffinity(0))
        files += (write_index(folder, kind, vectors.metric, settings, threads=threads),)
    seconds = time.perf_counter() - begun
    return open_sealed(folder, SegmentSeal(folder.name, "image", kind, len(rows), files, settings), space), seconds


def efforts(kind: IndexKind) -> tuple[SearchOptions, ...]:
    """Return how hard this kind is searched: by default first."""
    if kind is IndexKind.HNSW:
        return GRAPH_EFFORTS
    return LIST_EFFORTS if kind.startswith("ivf") else (DEFAULTS,)


def searched(vectors: VectorSet, segment: SealedSegment, options: SearchOptions) -> tuple[float, float]:
    """Return recall@10 and the median seconds of a query."""
    queries = prepare_rows(vectors.queries, segment.space)
    answers, seconds = [], []
    for query in queries:
        begun = time.perf_counter()
        found = segment.search(query[None], K, options)
        seconds.append(time.perf_counter() - begun)
        answers.append(found.rows[0][found.rows[0] >= 0].tolist())
    return vectors.recall(answers), statistics.median(seconds)


def measure(vectors: VectorSet, report: Report) -> None:
    """Add every kind's figures for one set of vectors."""
    report.figure(f"{vectors.name}: vectors", f"{len(vectors.base):,} × {vectors.dim}, {vectors.origin}")
    flat_s = np.nan
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="segment-") as folder:
            segment, build_s = built(vectors, kind, Path(folder))
            for name, recall, seconds in _rows(vectors, segment):
                report.figure(f"{vectors.name} {kind} {name}: recall@10", recall)
                report.figure(f"{vectors.name} {kind} {name}: µs a query", seconds * 1e6)
                if is_exact(kind):
                    flat_s = seconds
                report.ratio(f"{vectors.name} {kind} {name}: speed over flat", flat_s / seconds)
            codes = sum(file.size_bytes for file in segment.seal.files if file.name == "index.faiss")
            report.figure(f"{vectors.name} {kind}: index bytes a vector", codes / len(vectors.base))
            report.figure(f"{vectors.name} {kind}: build, s", build_s)
            if kind is IndexKind.HNSW:
                _goal(report, vectors, kind)


def _rows(vectors: VectorSet, segment: SealedSegment) -> Iterator[tuple[str, float, float]]:
    for options in efforts(segment.seal.kind):
        asked = {name: value for name, value in dataclasses.asdict(options).items() if value}
        name = ", ".join(f"{key} {value}" for key, value in asked.items()) or "default"
        yield name, *searched(vectors, segment, options)


def _goal(report: Report, vectors: VectorSet, kind: IndexKind) -> None:
    name = f"{vectors.name} {kind} default: recall@10"
    report.figure(name, float(report.figures[name]), at_least=0.95)


def main() -> None:
    """Run the benchmark."""
    parser: argparse.ArgumentParser = arguments(__doc__ or "")
    add_vector_options(parser)
    parser.add_argument("--cifar", type=Path, metavar="TAR", help="labelled pictures for vectors of whole pictures")
    options = parser.parse_args()
    report = Report("kinds")
    count, queries = (20_000, 300) if options.quick else (200_000, 1000)
    measure(descriptor_set(options, count, queries), report)
    # The labelled pictures give 200,000 views in all, the queries among them.
    measure(image_set(options.cifar, count - queries, queries), report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
