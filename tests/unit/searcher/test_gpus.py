"""A searcher's GPUs follow the shards it holds."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from pixvec.index.gpu_holdings import GpuHoldings
from pixvec.index.gpu_memory import MemoryDevice
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_sizes import flat_bytes
from pixvec.rpc.blocking import BlockingCalls
from services.searcher import gpus as wiring
from services.searcher.gpus import Gpus, open_gpus
from services.searcher.held_shard import HeldShard
from tests.in_loop import in_loop
from tests.unit.index.segments import build
from tests.unit.searcher.searching import SPACE, Bench, found, names

IMAGES = 30
# The collection has the default settings: vectors are stored as float16.
SHARD_BYTES = flat_bytes(IMAGES, SPACE.dim, half=True)


class Machine:
    """One GPU in memory, for the shards of a bench. `is_bare`: it has none."""

    def __init__(self, bench: Bench, capacity_bytes: int = 2**20, *, is_bare: bool = False) -> None:
        self.device = MemoryDevice(capacity_bytes)
        self.is_bare = is_bare
        self.opened = 0
        self.is_open = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.gpus = Gpus(bench.host, BlockingCalls("gpus", 1), self._open)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        self.gpus.close()
        assert self.device.used_bytes == 0

    def _open(self) -> GpuHoldings | None:
        self.opened += 1
        self._loop.call_soon_threadsafe(self.is_open.set)
        owner = DeviceOwner("twin", lambda: self.device, patience_s=300)
        if self.is_bare:
            owner.close()
            return None
        return GpuHoldings([owner], 2**30, least_rows=1)


class Log:
    """What was logged, as event and fields."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, Any]] = []

    def info(self, event: str, **fields: object) -> None:
        pass

    def warning(self, event: str, **fields: object) -> None:
        self.warnings.append({"event": event} | fields)

    error = warning


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    kept = Log()
    monkeypatch.setattr(wiring, "log", kept)
    return kept


async def sealed(bench: Bench, tmp_path: Path, name: str = "photos") -> HeldShard:
    """Return a shard of IMAGES that are in one sealed segment."""
    collection = bench.collection(name)
    bench.index(collection, *range(IMAGES))
    held = await bench.ready(collection)
    build(held.index, tmp_path / name)
    return held


@in_loop
async def test_segments_come_with_a_shard_and_go_with_it(tmp_path: Path) -> None:
    with Bench(tmp_path / "data") as bench, Machine(bench) as machine:
        held = await sealed(bench, tmp_path)
        assert await machine.gpus.update()
        assert machine.device.used_bytes == SHARD_BYTES
        assert found(held) == names(*range(IMAGES))
        assert machine.device.searches == [(1, IMAGES)]

        bench.catalogue.collections.delete("photos")
        await bench.follower.poll()
        assert await machine.gpus.update()
        assert machine.device.used_bytes == 0
        assert machine.opened == 1


@in_loop
async def test_nothing_is_opened_before_there_is_a_segment(tmp_path: Path) -> None:
    """FAISS takes 190 MB: a searcher without vectors does without."""
    with Bench(tmp_path / "data") as bench, Machine(bench) as machine:
        await bench.ready(bench.collection("empty"))
        assert await machine.gpus.update()
        assert machine.opened == 0


@in_loop
async def test_without_a_gpu_nobody_looks_again(tmp_path: Path) -> None:
    with Bench(tmp_path / "data") as bench, Machine(bench, is_bare=True) as machine:
        held = await sealed(bench, tmp_path)
        await machine.gpus.run(3600)
        assert machine.opened == 1
        assert found(held) == names(*range(IMAGES))


@in_loop
async def test_it_looks_until_it_is_cancelled(tmp_path: Path) -> None:
    with Bench(tmp_path / "data") as bench, Machine(bench) as machine:
        running = asyncio.ensure_future(machine.gpus.run(0.001))
        await sealed(bench, tmp_path)
        await machine.is_open.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


@in_loop
async def test_a_refusal_is_told_once_with_the_arithmetic(tmp_path: Path, log: Log) -> None:
    with Bench(tmp_path / "data") as bench, Machine(bench, SHARD_BYTES - 1) as machine:
        held = await sealed(bench, tmp_path)
        for _ in range(3):
            assert await machine.gpus.update()
        assert log.warnings == [
            {
                "event": "gpu_refused",
                "collection": "photos",
                "shard": 0,
                "purpose": "search",
                "needed_bytes": SHARD_BYTES,
                "free_bytes": SHARD_BYTES - 1,
                "arithmetic": "30 rows * (4 dimensions * 2 bytes + 4)",
                "note": "the CPU searches it",
            }
        ]
        assert found(held) == names(*range(IMAGES))
        assert machine.device.searches == []

        # There is room, and then there is none again: that is news.
        machine.device.capacity_bytes = SHARD_BYTES
        assert await machine.gpus.update()
        machine.device.capacity_bytes = SHARD_BYTES - 1
        assert await machine.gpus.update()
        assert len(log.warnings) == 2


def test_a_machine_that_has_none_or_is_told_to_use_none(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "gpu_count", lambda: 0)
    assert open_gpus(0, "auto") is None
    monkeypatch.setattr(wiring, "gpu_count", lambda: pytest.fail("nobody is to look"))
    assert open_gpus(0, "off") is None


def test_each_gpu_that_works_gets_an_owner_of_its_own(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[int, str]] = []

    def open_device(number: int) -> MemoryDevice:
        opened.append((number, threading.current_thread().name))
        return MemoryDevice()

    monkeypatch.setattr(wiring, "gpu_count", lambda: 3)
    monkeypatch.setattr(wiring, "why_unusable", lambda number: "it is out of order" if number == 1 else "")
    monkeypatch.setattr(wiring, "FaissGpu", open_device)
    holdings = open_gpus(0, "auto")
    assert holdings is not None
    holdings.close()
    assert sorted(opened) == [(0, "gpu0"), (2, "gpu2")]
    assert log.warnings == [{"event": "gpu_unusable", "device": "gpu1", "error": "it is out of order"}]
