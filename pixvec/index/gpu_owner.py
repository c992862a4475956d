"""The one thread that owns a device: it joins the searches that wait, and does other work between them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from pixvec.index.gpu import Declined, Device, DeviceFailed, DeviceIndex, Found
from pixvec.index.interfaces import Float32Array

_Result = TypeVar("_Result")

# Queries of one search on the device: beyond it they gain nothing from each other.
_MAX_ROWS = 1024
# A search that has not begun by then, as a segment is being copied, is done sooner by the CPU.
_PATIENCE_S = 0.05

_this_thread = threading.local()


@dataclass(frozen=True, slots=True)
class _Search:
    index: DeviceIndex
    queries: Float32Array
    k: int
    nprobe: int
    answer: "Future[Found]" = field(default_factory=Future)

    def joins(self, other: "_Search") -> bool:
        return self.index is other.index and self.nprobe == other.nprobe


@dataclass(frozen=True, slots=True)
class _Work:
    call: Callable[[Device], Any]
    answer: "Future[Any]" = field(default_factory=Future)


class DeviceOwner:
    """`open_device` is called in the thread. Any thread may ask; what fails on the device fails for those who asked."""

    def __init__(self, name: str, open_device: Callable[[], Device], *, patience_s: float = _PATIENCE_S) -> None:
        self.name = name
        self._open_device = open_device
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._searches: deque[_Search] = deque()
        self._work: deque[_Work] = deque()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def search(self, index: DeviceIndex, queries: Float32Array, k: int, nprobe: int = 0) -> Found:
        """Search an index of this device. Raises Declined: `busy` when it could not begin soon, `failed`."""
        asked = _Search(index, queries, k, nprobe)
        with self._changed:
            if self._is_closed:
                raise Declined("closed", f"{self.name} is given up")
            self._searches.append(asked)
            self._changed.notify()
        begun = time.monotonic()
        try:
            return self._answer(asked)
        except DeviceFailed as error:
            raise Declined("failed", f"{self.name}: {error}") from error
        finally:
            _this_thread.waited_s = waited_s() + time.monotonic() - begun

    def run(self, call: Callable[[Device], _Result]) -> _Result:
        """Return what the call returns, made between two searches. Raises DeviceFailed."""
        work = _Work(call)
        with self._changed:
            if self._is_closed:
                raise DeviceFailed(f"{self.name} is given up")
            self._work.append(work)
            self._changed.notify()
        result: _Result = work.answer.result()
        return result

    def close(self) -> None:
        """Do what was asked for before, and nothing after."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _answer(self, asked: _Search) -> Found:
        try:
            return asked.answer.result(self._patience_s)
        except TimeoutError:
            if asked.answer.cancel():
                raise Declined("busy", f"{self.name} is busy") from None
        return asked.answer.result()

    def _run(self) -> None:
        device = self._opened()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._searches or self._work or self._is_closed)
                together, work = self._take(), self._work.popleft() if self._work else None
                is_done = self._is_closed and not together and work is None
            if is_done:
                return
            if together:
                _search(together)
            if work is not None:
                _do(work, device)

    def _opened(self) -> Device | DeviceFailed:
        try:
            return self._open_device()
        except DeviceFailed as error:
            return DeviceFailed(str(error))

    def _take(self) -> list[_Search]:
        """Return searches that one of the device can answer, the oldest first; what is left out keeps its place."""
        together: list[_Search] = []
        others: deque[_Search] = deque()
        rows = 0
        while self._searches:
            asked = self._searches.popleft()
            is_fitting = not together or (asked.joins(together[0]) and rows + len(asked.queries) <= _MAX_ROWS)
            if not is_fitting:
                others.append(asked)
            elif asked.answer.set_running_or_notify_cancel():
                together.append(asked)
                rows += len(asked.queries)
        self._searches = others
        return together


def waited_s() -> float:
    """Return how long the calling thread has waited for devices, in seconds, since it began: what its searches cost
    beside its own time on the processor."""
    waited: float = getattr(_this_thread, "waited_s", 0.0)
    return waited


def _search(together: list[_Search]) -> None:
    first = together[0]
    queries = first.queries if len(together) == 1 else np.concatenate([asked.queries for asked in together])
    try:
        distances, rows = first.index.search(queries, max(asked.k for asked in together), first.nprobe)
    except Exception as error:  # noqa: BLE001 - whatever it raises belongs to those who asked
        for asked in together:
            asked.answer.set_exception(_plain(error))
        return
    begin = 0
    for asked in together:
        end = begin + len(asked.queries)
        asked.answer.set_result(Found(distances[begin:end, : asked.k], rows[begin:end, : asked.k]))
        begin = end


def _do(work: _Work, device: Device | DeviceFailed) -> None:
    try:
        if isinstance(device, DeviceFailed):
            raise device
        result = work.call(device)
    except Exception as error:  # noqa: BLE001 - whatever it raises belongs to the one who asked
        work.answer.set_exception(_plain(error))
    else:
        work.answer.set_result(result)


def _plain(error: Exception) -> Exception:
    """Leave out the traceback of what a device may raise: in its frames are parts of the device, which no other thread
    may let go of."""
    return DeviceFailed(str(error)) if isinstance(error, DeviceFailed) else error
