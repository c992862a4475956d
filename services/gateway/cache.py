"""Answers kept for a second, and for as long as the database cannot be reached."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pixvec.errors import NotFound, PixvecError

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    checked_at: float


@dataclass(slots=True)
class _Load(Generic[V]):
    task: "asyncio.Task[V]"
    begun_at: float


class RefreshingCache(Generic[K, V]):
    """Serves what it has while it is younger than `valid_s`, and loads it anew in the background once it is older than
    `fresh_s`, so that steady traffic never waits. What cannot be loaded again is kept, unless it is NotFound."""

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        fresh_s: float = 0.5,
        valid_s: float = 1.0,
        patience_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._fresh_s = fresh_s
        self._valid_s = valid_s
        self._patience_s = patience_s
        self._clock = clock
        self._entries: dict[K, _Entry[V]] = {}
        self._loads: dict[K, _Load[V]] = {}

    async def get(self, key: K) -> V:
        """Return the value of this key. Raises what loading raised when there is no value to fall back on."""
        entry = self._entries.get(key)
        if entry is None:
            return await asyncio.shield(self._begin_load(key).task)
        age_s = self._clock() - entry.checked_at
        if age_s < self._fresh_s:
            return entry.value
        load = self._begin_load(key)
        if age_s >= self._valid_s:
            return await self._wait_a_little(load, entry)
        return entry.value

    async def refreshed(self, key: K) -> V:
        """Return the value loaded anew, or what is known when that takes long or fails."""
        entry = self._entries.get(key)
        if entry is None:
            return await self.get(key)
        return await self._wait_a_little(self._begin_load(key), entry)

    def put(self, key: K, value: V) -> None:
        """Know this value from now on; a load under way does not replace it."""
        self._loads.pop(key, None)
        self._entries[key] = _Entry(value, self._clock())

    def forget(self, key: K) -> None:
        """Know nothing of this key from now on; a load under way does not bring it back."""
        self._loads.pop(key, None)
        self._entries.pop(key, None)

    async def _wait_a_little(self, load: _Load[V], entry: _Entry[V]) -> V:
        left_s = self._patience_s - (self._clock() - load.begun_at)
        if left_s > 0:
            await asyncio.wait({load.task}, timeout=left_s)
        if not load.task.done():
            return entry.value
        error = load.task.exception()
        if error is None:
            return load.task.result()
        if isinstance(error, NotFound) or not isinstance(error, PixvecError):
            raise error
        return entry.value

    def _begin_load(self, key: K) -> _Load[V]:
        load = self._loads.get(key)
        if load is None:
            load = _Load(asyncio.ensure_future(self._load_now(key)), self._clock())
            self._loads[key] = load
            load.task.add_done_callback(lambda task: self._settle(key, task))
        return load

    async def _load_now(self, key: K) -> V:
        return await self._load(key)

    def _settle(self, key: K, task: "asyncio.Task[V]") -> None:
        load = self._loads.get(key)
        error = None if task.cancelled() else task.exception()
        if load is None or load.task is not task:
            return
        del self._loads[key]
        if task.cancelled():
            return
        if error is None:
            self._entries[key] = _Entry(task.result(), self._clock())
        elif isinstance(error, NotFound):
            self._entries.pop(key, None)
        elif key in self._entries:
            self._entries[key].checked_at = self._clock()
