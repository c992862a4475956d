"""Runs what blocks (SQL, blobs, the broker) beside the event loop, refusing more than can wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pixvec.errors import Overloaded

_Result = TypeVar("_Result")


class BlockingCalls:
    """A few threads, and at most `max_waiting` calls that run or wait for one."""

    def __init__(self, name: str, threads: int, max_waiting: int = 256) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._waiting = 0
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)

    async def run(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what the call returns. Raises Overloaded at once when too many wait already."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._waiting} calls wait for {self._name} already; try again in a moment", retry_after_s=0.5
            )
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        # Not when the caller is cancelled but when the thread is free again: the bound is on the work.
        running.add_done_callback(self._finished)
        return await running

    def close(self) -> None:
        """Take no more calls; those that run are left to end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, _running: "asyncio.Future[_Result]") -> None:
        self._waiting -= 1
