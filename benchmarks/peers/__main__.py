"""pixvec beside libraries and other systems: the same vectors, queries and number of hits, and a recall that all reach.

Each system runs by itself, one after the other. How far it looks (ef) is the least that finds 95 % of the ten nearest;
the rest of its settings are its own. A library is searched by threads of this benchmark, a server by its own client.
Systems that are not installed are named as such.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from benchmarks.load import CORES
from benchmarks.peers.measuring import (
    COLUMNS,
    FULL,
    LIBRARIES,
    PEERS,
    QUICK,
    RECALL,
    SERVERS,
    SLOW,
    Care,
    Measured,
    run_one,
)
from benchmarks.peers.ours import PixvecGateway, PixvecIndex, PixvecSearcher
from benchmarks.report import Report, arguments, machine
from benchmarks.vectors import VectorSet, add_vector_options, descriptor_set


def run_all(names: Sequence[str], vectors: VectorSet, care: Care) -> dict[str, Measured]:
    """Measure each in a process of its own, say how it goes, and return those that could be measured."""
    table = Table("", "", "graph", *COLUMNS.values(), title=f"peers on {machine()}", title_justify="left")
    console, found = Console(width=200), {}
    for name in names:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            graph, measured = process.submit(run_one, name, vectors, care).result()
        if isinstance(measured, str):
            table.add_row(name, PEERS[name].what, measured)
            continue
        found[name] = measured
        values = [getattr(measured, column) for column in COLUMNS]
        table.add_row(
            name, PEERS[name].what, graph, *(f"{each:,.3g}" if each < 100 else f"{each:,.0f}" for each in values)
        )
    console.print(table)
    return found


def compare(found: dict[str, Measured], report: Report) -> None:
    """Add the ratios that the goals are about, between those that reach the recall."""
    reached = {name: each for name, each in found.items() if each.recall >= RECALL}
    libraries = [reached[each.name] for each in LIBRARIES if each.name in reached]
    servers = [reached[each.name] for each in SERVERS if each.name in reached]
    if PixvecIndex.name in reached and libraries:
        alone = reached[PixvecIndex.name]
        for column, threads in (("one_batches", "1 thread"), ("batches", f"{CORES} threads")):
            best = max(getattr(each, column) for each in libraries)
            report.ratio(f"index alone over the best library, {threads}", getattr(alone, column) / best, at_least=0.9)
    for name in (PixvecGateway.name, PixvecSearcher.name):
        if name in reached and servers:
            for column in ("one", "many", "batches"):
                best = max(getattr(each, column) for each in servers)
                ratio = getattr(reached[name], column) / best
                report.ratio(f"{name} over the best server, {COLUMNS[column].rpartition(',')[0]}", ratio, at_least=2.0)


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    add_vector_options(parser)
    parser.add_argument("--vectors", type=int, default=300_000, metavar="N", help="how many descriptors")
    parser.add_argument("--only", nargs="+", choices=PEERS, metavar="NAME", help=", ".join(PEERS))
    options = parser.parse_args()
    report = Report("peers")
    # So many are sealed at once.
    count, queries = (10_000, 192) if options.quick else (options.vectors, 1024)
    vectors = descriptor_set(options, count, queries)
    left_out = {each.name for each in SLOW} if options.quick else set()
    names = options.only or [name for name in PEERS if name not in left_out]
    # Once, for all.
    vectors.recall([])
    report.figure("vectors", f"{vectors.origin}: {len(vectors.base):,} × {vectors.dim}; {len(vectors.queries)} queries")
    found = run_all(names, vectors, QUICK if options.quick else FULL)
    compare(found, report)
    for name, measured in found.items():
        for column, title in COLUMNS.items():
            report.figure(f"{name}: {title}", getattr(measured, column))
    report.finish(options.json)


if __name__ == "__main__":
    main()
