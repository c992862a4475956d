"""Joins queries that wait for the same searcher into one call, with no timer: what has come while earlier calls were
under way goes together. A lone query is never held back."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pixvec.domain import SearchOptions, ShardPosition
from pixvec.errors import InvalidRequest, PixvecError, ShardUnavailable
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch

# A call beside the one under way is worth its cost once this many queries wait for it.
_ROWS_WORTH_A_CALL = 8
_CALLS_AT_ONCE = 4
_MAX_ROWS = 32
# Keeps the answer of a call within a message: an id has up to 512 bytes.
_MAX_HITS = 50_000

Send: TypeAlias = Callable[[str, ShardSearch, Sequence[bytes], float], Awaitable[list[ShardAnswer]]]
_Key: TypeAlias = tuple[
    str, int, tuple[int, ...], str, int, bytes, float | None, tuple[ShardPosition, ...], SearchOptions
]


@dataclass(slots=True)
class _Waiting:
    vector: bytes
    answer: "asyncio.Future[ShardAnswer]"
    give_up_at: float


@dataclass(slots=True)
class _Lane:
    """Queries that differ in their vector alone."""

    address: str
    search: ShardSearch
    calls: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)


class SearchLanes:
    """Sends single queries by `send(address, search, vectors, timeout_s)`, which answers vectors in order."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lanes: dict[_Key, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def search(self, address: str, search: ShardSearch, timeout_s: float) -> ShardAnswer:
        """Return the answer to one query. Raises what `send` raises, and ShardUnavailable after `timeout_s`."""
        key = _key_of(address, search)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(address, search)
        if lane.calls:
            return await self._wait(key, lane, search.vector, timeout_s)
        lane.calls += 1
        try:
            return (await self._send(address, search, (search.vector,), timeout_s))[0]
        finally:
            self._call_ended(key, lane)

    async def _wait(self, key: _Key, lane: _Lane, vector: bytes, timeout_s: float) -> ShardAnswer:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(vector, loop.create_future(), loop.time() + timeout_s)
        lane.waiting.append(waiting)
        if len(lane.waiting) >= _ROWS_WORTH_A_CALL and lane.calls < _CALLS_AT_ONCE:
            self._begin_call(key, lane)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting.answer
        except TimeoutError as error:
            raise ShardUnavailable(f"the searcher at {lane.address} did not answer in time") from error

    def _call_ended(self, key: _Key, lane: _Lane) -> None:
        lane.calls -= 1
        if lane.calls == 0 or len(lane.waiting) >= _ROWS_WORTH_A_CALL:
            self._begin_call(key, lane)
        if lane.calls == 0:
            self._lanes.pop(key, None)

    def _begin_call(self, key: _Key, lane: _Lane) -> None:
        together = _take(lane)
        if together:
            lane.calls += 1
            task = asyncio.ensure_future(self._send_together(key, lane, together))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_together(self, key: _Key, lane: _Lane, together: list[_Waiting]) -> None:
        try:
            await self._answer(lane, together)
        finally:
            self._call_ended(key, lane)

    async def _answer(self, lane: _Lane, together: list[_Waiting]) -> None:
        timeout_s = max(each.give_up_at for each in together) - asyncio.get_running_loop().time()
        try:
            answers = await self._send(lane.address, lane.search, [each.vector for each in together], timeout_s)
        except InvalidRequest as error:
            if len(together) == 1:
                _fail(together, error)
                return
            # One of the vectors is at fault: each for itself, so that the others get their answers.
            for each in together:
                await self._answer(lane, [each])
            return
        except PixvecError as error:
            _fail(together, error)
            return
        for each, answer in zip(together, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)


def _key_of(address: str, search: ShardSearch) -> _Key:
    return (
        address,
        search.collection_id,
        search.shards,
        search.space,
        search.k,
        search.digest,
        search.min_score,
        search.wait_for,
        search.options,
    )


def _take(lane: _Lane) -> list[_Waiting]:
    most = max(1, min(_MAX_ROWS, _MAX_HITS // lane.search.k))
    together: list[_Waiting] = []
    while lane.waiting and len(together) < most:
        waiting = lane.waiting.popleft()
        if not waiting.answer.done():
            together.append(waiting)
    return together


def _fail(together: Sequence[_Waiting], error: PixvecError) -> None:
    for each in together:
        if not each.answer.done():
            # Its own one for each: an exception carries the trace of where it was raised.
            own = type(error)(error.message, field=error.field, retry_after_s=error.retry_after_s)
            each.answer.set_exception(own)
