"""Searches by vector through gRPC, beside FAISS alone on the very index the searcher built, and beside an echo.

What one machine can at best serve is its cores over the CPU seconds of one call: those of an echo of the same bytes, at
the server and at the client, and those of the search itself. Callers who wait at the same time share calls, as the
clients of searcher and gateway have it, which no echo does: so the searcher is also called once for each query, by a
bare stub. All of it is measured in turns, and each ratio is the median of the rounds.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import grpc
import uvloop

from benchmarks.echo import Echo
from benchmarks.load import CORES, Load, drive
from benchmarks.process import COLLECTION
from benchmarks.raw import RawIndex
from benchmarks.report import Report, arguments
from benchmarks.serving import Serving
from benchmarks.vectors import K, VectorSet, add_vector_options, descriptor_set, image_set, in_parts
from pixvec.client import AsyncClient
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc

CALLERS, MANY_CALLERS = 16, 64
ROWS_A_CALL, BATCH_CALLERS = 64, 4


class Calls:
    """Calls that are made over and over, by their number."""

    def __init__(self, serving: Serving, vectors: VectorSet) -> None:
        queries = vectors.queries
        self.serving = serving
        self.singles = [serving.search_request(row, K) for row in in_parts(queries, 1)]
        self.batches = [serving.search_request(rows, K) for rows in in_parts(queries, ROWS_A_CALL)]
        self._packed = [row.tobytes() for row in queries]
        self._parts = in_parts(queries, ROWS_A_CALL)

    async def direct(
        self, address: str, requests: Sequence[pb.SearchRequest], callers: int, seconds: float, server: int
    ) -> Load:
        """Call a searcher, or an echo."""
        async with grpc.aio.insecure_channel(address) as channel:
            search = searcher_service_pb2_grpc.SearcherServiceStub(channel).Search
            return await drive(lambda number: search(requests[number % len(requests)]), callers, seconds, [server])

    async def gateway(self, callers: int, seconds: float) -> Load:
        """Call the gateway with the SDK."""
        async with AsyncClient(self.serving.gateway_address) as client:
            packed = self._packed
            return await drive(
                lambda number: client.search(COLLECTION, vector=packed[number % len(packed)], limit=K), callers, seconds
            )

    async def gateway_batches(self, callers: int, seconds: float) -> Load:
        """Call the gateway with the SDK, many vectors a call."""
        async with AsyncClient(self.serving.gateway_address) as client:
            parts = self._parts
            return await drive(
                lambda number: client.search_batch(COLLECTION, vectors=parts[number % len(parts)], limit=K),
                callers,
                seconds,
            )


def one_round(calls: Calls, raw: RawIndex, echo: Echo, vectors: VectorSet, seconds: float) -> dict[str, float]:
    """Measure everything once, in turn."""
    serving, searcher = calls.serving, calls.serving.pid("searcher")
    alone = raw.drive(vectors.queries, 1, 1, seconds)
    search_cpu = alone.client_cpu_s / alone.calls
    raw_batch = raw.drive(vectors.queries, ROWS_A_CALL, CORES, seconds)
    echoed = uvloop.run(calls.direct(echo.address, calls.singles, CALLERS, seconds, echo.pid))
    single = uvloop.run(serving.drive_as_gateway(vectors.queries, K, CALLERS, seconds))
    many = uvloop.run(serving.drive_as_gateway(vectors.queries, K, MANY_CALLERS, seconds))
    apart = uvloop.run(calls.direct(serving.address, calls.singles, CALLERS, seconds, searcher))
    many_apart = uvloop.run(calls.direct(serving.address, calls.singles, MANY_CALLERS, seconds, searcher))
    batch = uvloop.run(calls.direct(serving.address, calls.batches, BATCH_CALLERS, seconds, searcher))
    gateway = uvloop.run(calls.gateway(CALLERS, seconds))
    gateway_many = uvloop.run(calls.gateway(MANY_CALLERS, seconds))
    gateway_batch = uvloop.run(calls.gateway_batches(BATCH_CALLERS, seconds))
    echo_cpu = (echoed.server_cpu_s + echoed.client_cpu_s) / echoed.calls
    return {
        "served over the best possible": single.rate * (echo_cpu + search_cpu) / CORES,
        "served one query a call over the best possible": apart.rate * (echo_cpu + search_cpu) / CORES,
        "gateway over the best possible of two hops": gateway.rate * (2 * echo_cpu + search_cpu) / CORES,
        "64 a call over raw": batch.rate / raw_batch.rate,
        "64 a call over raw, gateway": gateway_batch.rate / raw_batch.rate,
        "p99 over p50, 64 callers": many.percentile(99) / many.percentile(50),
        "p99 over p50, 64 callers, one query a call": many_apart.percentile(99) / many_apart.percentile(50),
        "p99 over p50, 64 callers, gateway": gateway_many.percentile(99) / gateway_many.percentile(50),
        "raw, 64 a call, vectors/s": raw_batch.rate * ROWS_A_CALL,
        "raw, one a call, CPU us": 1e6 * search_cpu,
        "echo, CPU us, server": 1e6 * echoed.server_cpu_s / echoed.calls,
        "echo, CPU us, client": 1e6 * echoed.client_cpu_s / echoed.calls,
        "searcher, CPU us, server": 1e6 * single.server_cpu_s / single.calls,
        "searcher, CPU us, client": 1e6 * single.client_cpu_s / single.calls,
        "searcher, one query a call, CPU us, server": 1e6 * apart.server_cpu_s / apart.calls,
        "searcher, one query a call, CPU us, client": 1e6 * apart.client_cpu_s / apart.calls,
        "echo, calls/s": echoed.rate,
        "searcher, queries/s": single.rate,
        "searcher, one query a call, queries/s": apart.rate,
        "searcher, 64 a call, vectors/s": batch.rate * ROWS_A_CALL,
        "searcher, p50 ms, 64 callers": 1e3 * many.percentile(50),
        "searcher, p99 ms, 64 callers": 1e3 * many.percentile(99),
        "gateway, queries/s": gateway.rate,
        "gateway, 64 a call, vectors/s": gateway_batch.rate * ROWS_A_CALL,
        "gateway, p50 ms, 64 callers": 1e3 * gateway_many.percentile(50),
        "gateway, p99 ms, 64 callers": 1e3 * gateway_many.percentile(99),
    }


GOALS = {
    "served over the best possible": {"at_least": 0.85},
    "served one query a call over the best possible": {"at_least": 0.85},
    "64 a call over raw": {"at_least": 0.8},
    "p99 over p50, 64 callers": {"at_most": 3.0},
    "p99 over p50, 64 callers, gateway": {"at_most": 3.0},
}


def measure(vectors: VectorSet, rounds: int, seconds: float, report: Report) -> None:
    """Add one set of vectors to the report."""
    # One segment of all vectors: FAISS alone is measured on the same index.
    with Serving(vectors.dim, vectors.metric, seal_rows=len(vectors.base)) as serving:
        report.figure(f"{vectors.name}: loaded in, s", serving.load(vectors.base))
        serving.start_gateway()
        raw, calls = RawIndex(serving), Calls(serving, vectors)
        served_recall = vectors.recall(serving.search(vectors.queries, K))
        with Echo(serving.answer(calls.singles[0])) as echo:
            found = [one_round(calls, raw, echo, vectors, seconds) for _ in range(rounds)]
        what = f"{vectors.origin}: {len(vectors.base):,} × {vectors.dim}"
        report.figure(f"{vectors.name}", f"{what}; {raw.what}")
        report.ratio(
            f"{vectors.name}: recall over raw",
            served_recall / vectors.recall(raw.search(vectors.queries)),
            at_least=0.99,
        )
    report.figure(f"{vectors.name}: recall@{K}", served_recall, at_least=0.95)
    for name in found[0]:
        value = statistics.median(each[name] for each in found)
        add = report.ratio if " over " in name else report.figure
        add(f"{vectors.name}: {name}", value, **GOALS.get(name, {}))


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    add_vector_options(parser)
    parser.add_argument(
        "--cifar", type=Path, metavar="TAR", help="pictures for the 512-d vectors (default: made vectors)"
    )
    parser.add_argument("--descriptors", type=int, default=500_000, metavar="N", help="how many of them")
    options = parser.parse_args()
    report = Report("search")
    rounds, seconds = (1, 1.5) if options.quick else (5, 4.0)
    queries = 512 if options.quick else 2048
    measure(descriptor_set(options, 20_000 if options.quick else options.descriptors, queries), rounds, seconds, report)
    measure(image_set(options.cifar, 10_000 if options.quick else 200_000, queries), rounds, seconds, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
