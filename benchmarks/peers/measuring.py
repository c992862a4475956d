"""Measures one system."""

import statistics
import time
from dataclasses import dataclass

from benchmarks.load import CORES
from benchmarks.peers.databases import Chroma, MilvusLite, QdrantLocal
from benchmarks.peers.libraries import HnswLib, HnswLib32, USearch, USearchInt8
from benchmarks.peers.ours import PixvecGateway, PixvecIndex, PixvecSearcher, PixvecShard
from benchmarks.peers.peer import Peer, Unusable, least_effort, memory_bytes
from benchmarks.peers.pgvector import PgVector
from benchmarks.vectors import K, VectorSet

RECALL = 0.95
CALLERS, BATCH_CALLERS, ROWS_A_CALL = 16, 4, 64
OURS = (PixvecIndex, PixvecShard, PixvecSearcher, PixvecGateway)
LIBRARIES = (HnswLib, HnswLib32, USearch, USearchInt8)
SERVERS = (PgVector, Chroma, MilvusLite)
# Left out of a short run.
SLOW = (HnswLib32, USearchInt8, QdrantLocal)
PEERS: dict[str, type[Peer]] = {each.name: each for each in (*OURS, *LIBRARIES, *SERVERS, QdrantLocal)}


@dataclass(frozen=True, slots=True)
class Care:
    """How long to measure: each rate is the median of `rounds` of some seconds, with an effort of at most so much."""

    rounds: int
    seconds: float
    most_effort: int


QUICK, FULL = Care(1, 0.3, 80), Care(3, 4.0, 1000)


@dataclass(frozen=True, slots=True)
class Measured:
    """One system. Rates are of vectors a second, searched for by one caller and by many, one a call and 64 a call: many
    are threads, one a core, for a library. Bytes are those of one vector."""

    effort: int
    recall: float
    build_s: float
    index_bytes: float
    memory_bytes: float
    one: float
    many: float
    one_batches: float
    batches: float


COLUMNS = {
    "effort": "ef",
    "recall": f"recall@{K}",
    "build_s": "build, s",
    "index_bytes": "bytes a vector, files",
    "memory_bytes": "bytes a vector, memory",
    "one": "1 caller, queries/s",
    "many": "many callers, queries/s",
    "one_batches": "1 caller, 64 a call, vectors/s",
    "batches": "many callers, 64 a call, vectors/s",
}


def measure(peer: Peer, vectors: VectorSet, care: Care) -> Measured:
    """Build, find how far to look, and search."""
    before, begun = memory_bytes(peer.processes()), time.perf_counter()
    peer.build(vectors.base)
    build_s = time.perf_counter() - begun
    effort, recall = least_effort(peer, vectors, K, RECALL, care.most_effort)
    many, batch_callers = (CALLERS, BATCH_CALLERS) if peer.served else (CORES, CORES)

    def rate(callers: int, rows_a_call: int) -> float:
        loads = [peer.drive(vectors.queries, K, effort, rows_a_call, callers, care.seconds) for _ in range(care.rounds)]
        return rows_a_call * statistics.median(load.rate for load in loads)

    return Measured(
        effort=effort,
        recall=recall,
        build_s=build_s,
        index_bytes=peer.index_bytes() / len(vectors.base),
        one=rate(1, 1),
        many=rate(many, 1),
        one_batches=rate(1, ROWS_A_CALL),
        batches=rate(batch_callers, ROWS_A_CALL),
        memory_bytes=(memory_bytes(peer.processes()) - before) / len(vectors.base),
    )


def run_one(name: str, vectors: VectorSet, care: Care) -> tuple[str, Measured | str]:
    """Measure one system in this process; return how its graph is built, and what was measured or why not."""
    try:
        with PEERS[name](vectors.dim, vectors.metric) as peer:
            return peer.graph, measure(peer, vectors, care)
    except ModuleNotFoundError as missing:
        return "", f"not installed: no module {missing.name}"
    except Unusable as reason:
        return "", str(reason)
