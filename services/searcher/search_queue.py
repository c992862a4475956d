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

MAX_ROWS = 64
# While a search of the same lane runs, so many rows are worth a thread beside it...
_ROWS_WORTH_A_THREAD = 8
# ... or one row, if searches of this lane take longer than this.
_LONG_S = 0.002
# A search of less than this may go in the loop: handing it to a thread takes as long, and holds up the loop too.
_SHORT_S = 0.0005
# It does while searches are so few that the loop would spend no more than this share of its time on them.
_SHARE_OF_LOOP = 0.3
# Lanes whose costs are remembered.
_MAX_COSTS = 512


@dataclass(slots=True)
class _Waiting:
    vectors: Float32Array
    give_up_at: float
    answer: "asyncio.Future[tuple[list[ShardHits], float]]"


@dataclass(slots=True)
class _Lane:
    """Queries that one search can answer, while there are any. Belongs to the event loop, but for `search`."""

    key: Hashable
    search: Search
    max_rows: int
    # What a row took lately, in seconds.
    row_s: float
    waiting: deque[_Waiting] = field(default_factory=deque)
    rows: int = 0
    running: int = 0
    is_due: bool = False

    @property
    def is_over(self) -> bool:
        return not self.waiting and not self.running and not self.is_due


class SearchQueue:
    """Belongs to an event loop, but for its threads. At most `max_waiting` queries wait."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0
        # The time between two calls lately, in seconds.
        self._gap_s = 1.0
        self._called_at = 0.0
        # Those served longest ago first.
        self._lanes: dict[Hashable, _Lane] = {}
        # By hash: what a key holds would be kept for as long.
        self._costs: dict[int, float] = {}
        self._work: queue.SimpleQueue[tuple[_Lane, list[_Waiting]] | None] = queue.SimpleQueue()
        self._idle = self._count = threads
        self._threads = [threading.Thread(target=self._run, name=f"search-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    async def search(
        self, key: Hashable, search: Search, vectors: Float32Array, give_up_at: float, *, max_rows: int = MAX_ROWS
    ) -> tuple[list[ShardHits], float]:
        """Return the hits of each row and how long the search took, in seconds. Calls of one `key` that wait at the
        same time may be answered by the `search` of any of them, `max_rows` in one go. Raises Overloaded at once when
        too many wait, Unavailable when `give_up_at` of the monotonic clock passed before the search began, and what
        `search` raises.

        Many rows are searched in slices, side by side where threads are free, so that no call keeps others waiting.
        """
        slices = [vectors[begin : begin + max_rows] for begin in range(0, len(vectors), max_rows)]
        if len(slices) <= 1:
            return await self._wait(key, search, vectors, give_up_at, max_rows)
        answers = await asyncio.gather(*(self._wait(key, search, part, give_up_at, max_rows) for part in slices))
        return [hits for answer, _ in answers for hits in answer], max(seconds for _, seconds in answers)

    def close(self) -> None:
        """Let the searches under way end, and take no more."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()

    async def _wait(
        self, key: Hashable, search: Search, vectors: Float32Array, give_up_at: float, max_rows: int
    ) -> tuple[list[ShardHits], float]:
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._waiting} searches wait already; try again in a moment", retry_after_s=0.1)
        loop = asyncio.get_running_loop()
        self._note_call(loop.time())
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(key, search, max_rows, self._costs.get(hash(key), _LONG_S))
        waiting = _Waiting(vectors, give_up_at, loop.create_future())
        self._join(lane, waiting)
        if not lane.is_due:
            lane.is_due = True
            # After every call that this turn of the loop brings.
            loop.call_soon(self._due, lane)
        return await waiting.answer

    def _join(self, lane: _Lane, waiting: _Waiting) -> None:
        lane.waiting.append(waiting)
        lane.rows += len(waiting.vectors)
        self._waiting += 1

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
        self._forget_if_over(lane)

    def _search_here(self, lane: _Lane) -> None:
        together = self._take(lane)
        if together:
            lane.running += 1
            self._idle -= 1
            hits, seconds, _ = _searched(lane, together)
            # As long as the loop stood still: pages that had to be read from the disk count.
            self._ended(lane, together, hits, seconds, seconds)

    def _begin(self, lane: _Lane) -> None:
        """Hand what waits, or as much as goes into one search, to a thread, if that is worth one."""
        if not (lane.waiting and self._idle and self._is_worth_it(lane)):
            return
        together = self._take(lane)
        if together:
            lane.running += 1
            self._idle -= 1
            self._lanes[lane.key] = self._lanes.pop(lane.key, lane)
            self._work.put((lane, together))

    def _is_worth_it(self, lane: _Lane) -> bool:
        return not lane.running or lane.rows >= _ROWS_WORTH_A_THREAD or lane.row_s > _LONG_S

    def _take(self, lane: _Lane) -> list[_Waiting]:
        """Return the queries of the next search. One that nobody waits for any more costs nothing."""
        now = time.monotonic()
        together: list[_Waiting] = []
        rows = 0
        while lane.waiting and (not together or rows + len(lane.waiting[0].vectors) <= lane.max_rows):
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
        # In a frame of its own: what it searched must not be kept until the next search.
        while self._is_searched():
            pass

    def _is_searched(self) -> bool:
        work = self._work.get()
        if work is None:
            return False
        lane, together = work
        loop = together[0].answer.get_loop()
        loop.call_soon_threadsafe(self._ended, lane, together, *_searched(lane, together))
        return True

    def _ended(
        self,
        lane: _Lane,
        together: list[_Waiting],
        hits: list[ShardHits] | Exception,
        seconds: float,
        cost_s: float,
    ) -> None:
        lane.running -= 1
        self._idle += 1
        self._note_cost(lane, cost_s / sum(len(each.vectors) for each in together))
        if isinstance(hits, list):
            _deliver(together, hits, seconds)
        elif len(together) == 1 or not isinstance(hits, PixvecError):
            _fail(together, hits)
        else:
            # One of the queries is at fault: each for itself, so that the others get their answers.
            for each in together:
                alone = self._lanes[id(each)] = _Lane(id(each), lane.search, lane.max_rows, lane.row_s)
                self._join(alone, each)
        self._forget_if_over(lane)
        self._begin_next()

    def _note_cost(self, lane: _Lane, row_s: float) -> None:
        lane.row_s += 0.2 * (row_s - lane.row_s)
        known = hash(lane.key)
        self._costs.pop(known, None)
        self._costs[known] = lane.row_s
        if len(self._costs) > _MAX_COSTS:
            del self._costs[next(iter(self._costs))]

    def _begin_next(self) -> None:
        """Give free threads to what waits, one search to each lane in turn: no lane keeps another waiting for long."""
        while self._idle and self._waiting:
            idle = self._idle
            for lane in list(self._lanes.values()):
                self._begin(lane)
                self._forget_if_over(lane)
            if self._idle == idle:
                return

    def _forget_if_over(self, lane: _Lane) -> None:
        if lane.is_over:
            self._lanes.pop(lane.key, None)


def _searched(lane: _Lane, together: Sequence[_Waiting]) -> tuple[list[ShardHits] | Exception, float, float]:
    """Return what a search gave, how long it took, and what of that it cost, in seconds."""
    begun, spent = time.monotonic(), _spent_s()
    hits: list[ShardHits] | Exception
    try:
        hits = lane.search(_joined(together))
    except Exception as error:  # noqa: BLE001 - whatever a search raises belongs to those who wait for it
        hits = error
    return hits, time.monotonic() - begun, _spent_s() - spent


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
