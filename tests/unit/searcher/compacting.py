"""Builds that fail or wait as they are told, for tests of compaction."""

import errno
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from pixvec.domain import IndexKind, IndexSettings, Metric
from pixvec.index.durable import FileSeal
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.metrics import BUILD_FAILURES
from services.searcher.compaction import Compaction
from services.searcher.data_folder import DataFolder
from services.searcher.held_shard import HeldShard
from tests.unit.searcher.searching import SPACE, Bench

POLICY = BuildPolicy(seal_rows=20, least_rows=5)
GRAPH = replace(SPACE, index=IndexSettings(IndexKind.HNSW))
ROW_BYTES = 4 * SPACE.dim
NO_ROOM = OSError(errno.ENOSPC, "No space left on device")


class Maker:
    """An IndexMaker that fails as often as it is told to, and waits until it is let go."""

    def __init__(self, failures: int = 0, *, waits: bool = False, error: Exception = NO_ROOM) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0
        self.urgent: list[bool] = []
        self.hurried = threading.Event()
        self.begun, self.let_go = threading.Event(), threading.Event()
        if not waits:
            self.let_go.set()

    def __call__(
        self, folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, is_urgent: bool = False
    ) -> FileSeal:
        self.calls += 1
        self.urgent.append(is_urgent)
        self.begun.set()
        assert self.let_go.wait(30)
        if self.calls <= self.failures:
            raise self.error
        return index_in_this_process(folder, kind, metric, settings)

    def hurry(self) -> None:
        self.hurried.set()
        self.let_go.set()


@contextmanager
def compacting(bench: Bench, make: Maker | None = None, policy: BuildPolicy = POLICY) -> Iterator[Compaction]:
    data, make = DataFolder(bench.folder), make or Maker()
    with closing(BlockingCalls("builds", 1)) as building:
        yield Compaction(bench.host, data, bench.snapshots, building, make, lambda: policy, clock=lambda: bench.time)


def segments(held: HeldShard) -> list[int]:
    """The rows of each sealed segment."""
    return [view.row_count for view in held.index.view.spaces["image"].sealed]


def folders(bench: Bench, what: str) -> int:
    return len(list(bench.folder.glob(f"*/{what}-*")))


def failures() -> float:
    return BUILD_FAILURES._value.get()
