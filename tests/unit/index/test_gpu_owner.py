"""The thread that owns a device."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.index.gpu import Declined, Device, DeviceFailed, DeviceIndex, Found
from pixvec.index.gpu_memory import MemoryDevice
from pixvec.index.gpu_owner import DeviceOwner, waited_s

DIM = 8
ROWS = np.random.default_rng(0).standard_normal((100, DIM)).astype(np.float32)
LONG_S = 300.0


class Bench:
    """A device whose owner can be held up, and callers in threads of their own."""

    def __init__(self, patience_s: float = LONG_S) -> None:
        self.device = MemoryDevice()
        self.owner = DeviceOwner("gpu0", lambda: self.device, patience_s=patience_s)
        self.callers = ThreadPoolExecutor(40)
        self.index = self.flat()
        self._free = threading.Event()
        self._free.set()

    def close(self) -> None:
        self.free()
        self.callers.shutdown()
        self.owner.close()

    def flat(self) -> DeviceIndex:
        return self.owner.run(lambda device: device.flat(ROWS, Metric.EUCLIDEAN, half=False))

    def hold_up(self) -> None:
        """Have the owner do something that lasts until `free`."""
        self._free.clear()
        began = threading.Event()

        def work(_: Device) -> None:
            began.set()
            assert self._free.wait(30)

        self.callers.submit(self.owner.run, work)
        assert began.wait(30)

    def free(self) -> None:
        self._free.set()

    def ask(self, *rows: int, k: int = 1, nprobe: int = 0, index: DeviceIndex | None = None) -> "Future[Found]":
        """Ask in another thread, and return once it waits."""
        before = len(self.owner._searches)
        asked = self.callers.submit(self.owner.search, index or self.index, ROWS[list(rows)], k, nprobe)
        with self.owner._changed:
            self.owner._changed.wait_for(lambda: len(self.owner._searches) > before or asked.done(), 30)
        return asked


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_what_waits_goes_together_and_each_gets_its_own(bench: Bench) -> None:
    bench.hold_up()
    answers = [bench.ask(row, row + 50, k=1 + row) for row in range(10)]
    bench.free()
    for row, answer in enumerate(answers):
        found = answer.result(30)
        assert found.rows.shape == found.distances.shape == (2, 1 + row)
        assert found.rows[:, 0].tolist() == [row, row + 50]
    assert bench.device.searches == [(20, 10)]
    alone = bench.owner.search(bench.index, ROWS[[3, 53]], 4)
    assert alone.rows.tolist() == answers[3].result().rows.tolist()
    assert alone.distances.tolist() == answers[3].result().distances.tolist()


def test_others_do_not_mix_and_keep_their_order(bench: Bench) -> None:
    other = bench.flat()
    bench.hold_up()
    answers = [bench.ask(1), bench.ask(2, index=other), bench.ask(3, 4), bench.ask(5, index=other)]
    bench.free()
    assert [answer.result(30).rows[0, 0] for answer in answers] == [1, 2, 3, 5]
    assert bench.device.searches == [(3, 1), (2, 1)]


def test_no_search_grows_beyond_its_limit(bench: Bench) -> None:
    bench.hold_up()
    answers = [bench.ask(*[row] * 500) for row in range(5)]
    bench.free()
    assert [set(answer.result(30).rows[:, 0].tolist()) for answer in answers] == [{0}, {1}, {2}, {3}, {4}]
    assert bench.device.searches == [(1000, 1), (1000, 1), (500, 1)]


def test_work_gets_its_turn_between_searches(bench: Bench) -> None:
    bench.hold_up()
    asked = bench.ask(1)
    work = bench.callers.submit(bench.owner.run, lambda device: device.free_bytes())
    bench.free()
    assert work.result(30) == bench.device.capacity_bytes - bench.device.used_bytes
    assert asked.result(30).rows.tolist() == [[1]]


def test_a_search_that_cannot_begin_soon_is_declined_and_never_made() -> None:
    bench = Bench(patience_s=0.0)
    bench.hold_up()
    with pytest.raises(Declined) as declined:
        bench.owner.search(bench.index, ROWS[:1], 1)
    assert declined.value.cause == "busy"
    bench.close()
    assert bench.device.searches == []


def test_what_fails_fails_for_those_who_asked(bench: Bench) -> None:
    bench.device.is_broken = True
    with pytest.raises(Declined, match="broken") as declined:
        bench.owner.search(bench.index, ROWS[:1], 1)
    assert declined.value.cause == "failed"
    with pytest.raises(DeviceFailed, match="broken"):
        bench.owner.run(lambda device: device.free_bytes())
    bench.device.is_broken = False
    assert bench.owner.search(bench.index, ROWS[:1], 1).rows.tolist() == [[0]]


def test_a_mistake_reaches_the_one_who_made_it_and_nobody_else(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        bench.owner.run(lambda _: 1 // 0)
    with pytest.raises(AssertionError):
        bench.owner.search(bench.index, ROWS[:1, :3], 1)
    assert bench.owner.search(bench.index, ROWS[:1], 1).rows.tolist() == [[0]]


def test_a_failure_takes_no_part_of_the_device_to_another_thread(bench: Bench) -> None:
    """Its traceback would: whoever drops that last frees the device's memory beside the owner."""
    bench.device.is_broken = True
    with pytest.raises(DeviceFailed) as failed:
        bench.owner.run(lambda device: device.flat(ROWS, Metric.COSINE, half=True))
    frames = [entry.name for entry in failed.traceback]
    assert "flat" not in frames


def test_a_device_that_cannot_be_opened_fails_all_that_is_asked() -> None:
    def open_device() -> Device:
        raise DeviceFailed("no such device")

    owner = DeviceOwner("gpu7", open_device)
    for _ in range(2):
        with pytest.raises(DeviceFailed, match="no such device"):
            owner.run(lambda device: device.free_bytes())
    owner.close()


def test_after_the_end_nothing_is_done_but_what_was_asked_before() -> None:
    bench = Bench()
    bench.hold_up()
    asked = bench.ask(1)
    closing = bench.callers.submit(bench.owner.close)
    with bench.owner._changed:
        bench.owner._changed.wait_for(lambda: bench.owner._is_closed, 30)
    with pytest.raises(Declined):
        bench.owner.search(bench.index, ROWS[:1], 1)
    with pytest.raises(DeviceFailed):
        bench.owner.run(lambda device: device.free_bytes())
    bench.free()
    closing.result(30)
    assert asked.result(30).rows.tolist() == [[1]]
    bench.close()


def test_a_caller_that_gave_up_ends_nobody_elses_search() -> None:
    """All that waits may have been given up: the owner goes on."""
    bench = Bench(patience_s=0.0)
    bench.hold_up()
    for _ in range(3):
        with pytest.raises(Declined):
            bench.owner.search(bench.index, ROWS[:1], 1)
    bench.free()
    assert bench.owner.run(lambda device: device.free_bytes()) > 0
    bench.close()


def test_a_thread_knows_how_long_it_has_waited(bench: Bench) -> None:
    before = waited_s()
    bench.owner.search(bench.index, ROWS[:1], 1)
    assert waited_s() > before
    assert bench.callers.submit(waited_s).result() == 0.0


def test_the_twin_belongs_to_one_thread() -> None:
    device = MemoryDevice()
    device.free_bytes()
    with ThreadPoolExecutor(1) as other, pytest.raises(AssertionError):
        other.submit(device.free_bytes).result()
