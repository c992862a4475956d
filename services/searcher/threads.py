"""Runs what blocks beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pixvec.errors import Overloaded

_Result = TypeVar("_Result")


class Threads:
    """A few threads of one purpose, and at most `max_waiting` calls that run or wait for one."""

    def __init__(self, name: str, count: int, max_waiting: int | None = None) -> None:
        self._name = name
        self._waiting = 0
        self._max_waiting = max_waiting
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def start(self, call: Callable[..., _Result], *arguments: object) -> "asyncio.Future[_Result]":
        """Take the call in now, after those before it. One that is cancelled before it has begun does not begin. Raises
        Overloaded at once when too many wait."""
        if self._max_waiting is not None and self._waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._waiting} calls wait for {self._name} already; try again in a moment", retry_after_s=0.1
            )
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
        running.add_done_callback(self._ended)
        return running

    async def run(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what the call returns. See `start`."""
        return await self.start(call, *arguments)

    def close(self) -> None:
        """Take no more calls, drop those that have not begun, and wait for the others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ended(self, _: "asyncio.Future[_Result]") -> None:
        self._waiting -= 1
