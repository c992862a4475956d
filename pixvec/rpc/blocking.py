"""Runs what blocks (SQL, files, the broker, a search) beside the event loop of a server."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from pixvec.errors import Overloaded, Unavailable

_Result = TypeVar("_Result")


class BlockingCalls:
    """A few threads of one purpose, and at most `max_waiting` calls that run or wait for one; None for any number."""

    def __init__(
        self,
        name: str,
        threads: int,
        *,
        max_waiting: int | None = None,
        retry_after_s: float = 0.5,
        read_within_s: float = 5.0,
    ) -> None:
        self._name = name
        self._max_waiting = max_waiting
        self._retry_after_s = retry_after_s
        self._read_within_s = read_within_s
        self._waiting = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def start(self, call: Callable[..., _Result], *arguments: object) -> "asyncio.Future[_Result]":
        """Take the call in now, after those before it. One that is cancelled before it has begun does not begin. Raises
        Overloaded at once when too many wait."""
        with self._lock:
            if self._max_waiting is not None and self._waiting >= self._max_waiting:
                raise Overloaded(
                    f"{self._waiting} calls wait for {self._name} already; try again in a moment",
                    retry_after_s=self._retry_after_s,
                )
            self._waiting += 1
        running = self._pool.submit(call, *arguments)
        # Not when the caller is cancelled but when the thread is free again: the bound is on the work.
        running.add_done_callback(self._ended)
        return asyncio.wrap_future(running)

    async def run(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what the call returns. See `start`."""
        return await self.start(call, *arguments)

    async def read(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        """Return what the call returns, which changes nothing and is quick where all is well: it is not waited for any
        longer than `read_within_s`. Raises Unavailable then, and as `start` does."""
        try:
            async with asyncio.timeout(self._read_within_s):
                return await self.start(call, *arguments)
        except TimeoutError:
            raise Unavailable(
                f"the {self._name} has not answered for {self._read_within_s:.0f} s; try again in a moment",
                retry_after_s=1.0,
            ) from None

    def close(self, *, wait: bool = True) -> None:
        """Take no more calls, drop those that have not begun, and wait for the others, or leave them to end."""
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _ended(self, _: "Future[Any]") -> None:
        with self._lock:
            self._waiting -= 1
