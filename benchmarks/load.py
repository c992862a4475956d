"""Many callers at once, each calling again as soon as it is answered; and what that costs the processor."""

import asyncio
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import psutil

CORES = len(os.sched_getaffinity(0))
# Of what is measured.
_WARM_UP = 0.15


@dataclass(frozen=True, eq=False)
class Load:
    """What some callers saw. CPU seconds are of the whole run: `client_cpu_s` of this process, `server_cpu_s` of the
    servers'."""

    seconds: float
    latencies_s: npt.NDArray[np.float64]
    client_cpu_s: float
    server_cpu_s: float

    @property
    def calls(self) -> int:
        """Calls answered."""
        return len(self.latencies_s)

    @property
    def rate(self) -> float:
        """Calls answered a second."""
        return self.calls / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a latency in seconds."""
        return float(np.percentile(self.latencies_s, percent))


async def drive(
    call: Callable[[int], Awaitable[object]], callers: int, seconds: float, servers: Sequence[int] = ()
) -> Load:
    """Call for some seconds, after a moment to warm up. `call` is given a number that counts up; `servers` are the
    processes that answer."""
    numbers = itertools.count()
    await _call_until(call, callers, numbers, time.perf_counter() + _WARM_UP * seconds)
    client, server, begun = time.process_time(), _cpu_s(servers), time.perf_counter()
    latencies = await _call_until(call, callers, numbers, begun + seconds)
    elapsed = time.perf_counter() - begun
    return Load(elapsed, np.array(latencies), time.process_time() - client, _cpu_s(servers) - server)


async def _call_until(
    call: Callable[[int], Awaitable[object]], callers: int, numbers: Iterator[int], end: float
) -> list[float]:
    latencies: list[float] = []

    async def caller() -> None:
        while (begun := time.perf_counter()) < end:
            await call(next(numbers))
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return latencies


def drive_threads(call: Callable[[int], object], callers: int, seconds: float, servers: Sequence[int] = ()) -> Load:
    """Do as `drive` does, with a thread for each caller."""
    numbers = itertools.count()
    with ThreadPoolExecutor(callers) as threads:
        _in_threads(threads, call, callers, numbers, time.perf_counter() + _WARM_UP * seconds)
        client, server, begun = time.process_time(), _cpu_s(servers), time.perf_counter()
        latencies = _in_threads(threads, call, callers, numbers, begun + seconds)
        elapsed = time.perf_counter() - begun
    return Load(elapsed, np.array(latencies), time.process_time() - client, _cpu_s(servers) - server)


def _in_threads(
    threads: ThreadPoolExecutor,
    call: Callable[[int], object],
    callers: int,
    numbers: "itertools.count[int]",
    end: float,
) -> list[float]:
    def caller(_: int) -> list[float]:
        latencies: list[float] = []
        while (begun := time.perf_counter()) < end:
            call(next(numbers))
            latencies.append(time.perf_counter() - begun)
        return latencies

    return [latency for own in threads.map(caller, range(callers)) for latency in own]


def _cpu_s(processes: Sequence[int]) -> float:
    """Return the CPU seconds of some processes, their children left out."""
    times = [psutil.Process(process).cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)
