"""Searches beside the event loop, or in it where that is shorter than the way to a thread and back.

Queries that wait and differ in their vectors alone go into one search, with no timer: what has come in one turn of the
loop, or while earlier searches ran, goes together, and a lone query is never held back.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from pixvec.errors import Overloaded, PixvecError, Unavailable
from pixvec.index.gpu_owner import waited_s
from pixvec.index.interfaces import Float32Array, ShardHits

# Searches the rows of several queries, (n, dim) float32, and returns hits for each.
Search: TypeAlias = Callable[[Float32Array], list[ShardHits]]

_MAX_ROWS = 64
# While a search of the same lane runs, so many rows are worth a thread beside it...
_ROWS_WORTH_A_THREAD = 8
# ... or one row, if searches of this lane take longer than this.
_LONG_S = 0.002
# A search of less than this may go in the loop: handing it to a thread takes as long, and holds up the loop too.
_SHORT_S = 0.0005
# It does while searches are so few that the loop would spend no more than this share of its time on them.
_SHARE_OF_LOOP = 0.3
# Lanes that are remembered for what their searches cost.
_MAX_LANES = 512


@dataclass(slots=True)
class _Waiting:
    vectors: Float32Array
    give_up_at: float
    answer: "asyncio.Future[tuple[list[ShardHits], float]]"


@dataclass(slots=True)
class _Lane:
    """Queries that one search can answer. All but `search` belongs to the event loop."""

    search: Search
    waiting: deque[_Waiting] = field(default_factory=deque)
    rows: int = 0
    running: int = 0
    # What a row took lately, in seconds; unknown at first.
    row_s: float = _LONG_S
    is_due: bool = False

    def note(self, rows: int, seconds: float) -> None:
        self.row_s += 0.2 * (seconds / max(1, rows) - self.row_s)


class SearchQueue:
    """Belongs to an event loop, but for its threads. At most `max_waiting` queries wait."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0
        # The time between two calls lately, in seconds.
        self._gap_s = 1.0
        self._called_at = 0.0
        self._lanes: dict[Hashable, _Lane] = {}
        self._work: queue.SimpleQueue[tuple[_Lane, list[_Waiting]] | None] = queue.SimpleQueue()
        self._idle = self._count = threads
        self._threads = [threading.Thread(target=self._run, name=f"search-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def search(
        self, key: Hashable, search: Search, vectors: Float32Array, give_up_at: float
    ) -> tuple[list[ShardHits], float]:
        """Return the hits of each row and how long the search took, in seconds. Calls of one `key` may be answered by
        the `search` of any of them. Raises Overloaded at once when too many wait, Unavailable when `give_up_at` of the
        monotonic clock passed before the search began, and what `search` raises.

        Many rows are searched in slices, side by side where threads are free, so that no call keeps others waiting.
        """
        slices = [vectors[begin : begin + _MAX_ROWS] for begin in range(0, len(vectors), _MAX_ROWS)]
        if len(slices) <= 1:
            return await self._wait(key, search, vectors, give_up_at)
        answers = await asyncio.gather(*(self._wait(key, search, part, give_up_at) for part in slices))
        return [hits for answer, _ in answers for hits in answer], max(seconds for _, seconds in answers)

    async def _wait(
        self, key: Hashable, search: Search, vectors: Float32Array, give_up_at: float
    ) -> tuple[list[ShardHits], float]:
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._waiting} searches wait already; try again in a moment", retry_after_s=0.1)
        loop = asyncio.get_running_loop()
        self._note_call(loop.time())
        lane = self._lanes.get(key) or self._new_lane(key, search)
        waiting = _Waiting(vectors, give_up_at, loop.create_future())
        lane.waiting.append(waiting)
        lane.rows += len(vectors)
        self._waiting += 1
        if not lane.is_due:
            lane.is_due = True
            # After every call that this turn of the loop brings.
            loop.call_soon(self._due, lane)
        return await waiting.answer

    def close(self) -> None:
        """Let the searches under way end, and take no more."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    def _new_lane(self, key: Hashable, search: Search) -> _Lane:
        if len(self._lanes) >= _MAX_LANES:
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.waiting or lane.running}
        lane = self._lanes[key] = _Lane(search)
        return lane

    def _note_call(self, now: float) -> None:
        # A pause counts as one long gap at most, so that the first calls after it do not pass for few.
        self._gap_s += 0.1 * (min(now - self._called_at, 0.1) - self._gap_s)
        self._called_at = now

    def _due(self, lane: _Lane) -> None:
        lane.is_due = False
        seconds = lane.rows * lane.row_s
        if self._idle == self._count and seconds < min(_SHORT_S, _SHARE_OF_LOOP * self._gap_s):
            self._search_here(lane)
        self._begin(lane)

    def _search_here(self, lane: _Lane) -> None:
        together = self._take(lane)
        if together:
            lane.running += 1
            self._idle -= 1
            self._ended(lane, together, *_searched(lane, together))

    def _begin(self, lane: _Lane) -> None:
        """Hand what waits to a thread, if that is worth one."""
        while lane.waiting and self._idle and self._is_worth_it(lane):
            together = self._take(lane)
            if together:
                lane.running += 1
                self._idle -= 1
                self._work.put((lane, together))

    def _is_worth_it(self, lane: _Lane) -> bool:
        return not lane.running or lane.rows >= _ROWS_WORTH_A_THREAD or lane.row_s > _LONG_S

    def _take(self, lane: _Lane) -> list[_Waiting]:
        """Return the queries of the next search. One that nobody waits for any more costs nothing."""
        now = time.monotonic()
        together: list[_Waiting] = []
        rows = 0
        while lane.waiting and (not together or rows + len(lane.waiting[0].vectors) <= _MAX_ROWS):
            waiting = lane.waiting.popleft()
            self._waiting -= 1
            lane.rows -= len(waiting.vectors)
            if waiting.answer.done():
                continue
            if now >= waiting.give_up_at:
                waiting.answer.set_exception(
                    Unavailable("the call's deadline passed before its search began; try again, or give it more time")
                )
                continue
            together.append(waiting)
            rows += len(waiting.vectors)
        return together

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            lane, together = work
            loop = together[0].answer.get_loop()
            loop.call_soon_threadsafe(self._ended, lane, together, *_searched(lane, together))

    def _ended(self, lane: _Lane, together: list[_Waiting], hits: list[ShardHits] | Exception, seconds: float) -> None:
        lane.running -= 1
        self._idle += 1
        if isinstance(hits, list):
            _deliver(together, hits, seconds)
        elif len(together) == 1 or not isinstance(hits, PixvecError):
            _fail(together, hits)
        else:
            # One of the queries is at fault: each for itself, so that the others get their answers.
            for each in together:
                self._lanes[id(each)] = _Lane(lane.search, deque([each]), len(each.vectors))
                self._waiting += 1
        self._begin_next()

    def _begin_next(self) -> None:
        """Give free threads to what waits, the oldest lane first."""
        if self._waiting:
            for lane in list(self._lanes.values()):
                self._begin(lane)


def _searched(lane: _Lane, together: Sequence[_Waiting]) -> tuple[list[ShardHits] | Exception, float]:
    """Return what a search gave, and how long it took, in seconds."""
    begun, spent = time.monotonic(), _spent_s()
    hits: list[ShardHits] | Exception
    try:
        hits = lane.search(_joined(together))
    except Exception as error:  # noqa: BLE001 - whatever a search raises belongs to those who wait for it
        hits = error
    lane.note(sum(len(each.vectors) for each in together), _spent_s() - spent)
    return hits, time.monotonic() - begun


def _spent_s() -> float:
    """Return what this thread's searches have cost, on the processor and on GPUs, not how long others kept it back."""
    return time.thread_time() + waited_s()


def _joined(together: Sequence[_Waiting]) -> Float32Array:
    return together[0].vectors if len(together) == 1 else np.concatenate([each.vectors for each in together])


def _deliver(together: Sequence[_Waiting], hits: list[ShardHits], seconds: float) -> None:
    begin = 0
    for each in together:
        end = begin + len(each.vectors)
        if not each.answer.done():
            each.answer.set_result((hits[begin:end], seconds))
        begin = end


def _fail(together: Sequence[_Waiting], error: Exception) -> None:
    for each in together:
        if not each.answer.done():
            each.answer.set_exception(error)
