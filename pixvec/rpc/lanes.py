"""Joins questions that differ little into one call, with no timer: what has come while earlier calls were under way
goes together. A lone question is never held back."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from pixvec.errors import InvalidRequest, PixvecError, Unavailable

# A call beside the one under way is worth its cost once this many questions wait for it.
_WORTH_A_CALL = 8
_CALLS_AT_ONCE = 4
# Whoever has waited this share of its time goes without waiting for the call under way: it may be stuck.
_PATIENCE = 0.25

Q = TypeVar("Q")
A = TypeVar("A")
# Asks some questions of one lane in one call of at most so many seconds; returns their answers in order.
Send: TypeAlias = Callable[[Sequence[Q], float], Awaitable[Sequence[A]]]


@dataclass(slots=True)
class _Waiting(Generic[Q, A]):
    question: Q
    answer: "asyncio.Future[A]"
    give_up_at: float


@dataclass(slots=True)
class _Lane(Generic[Q, A]):
    """Questions that one call can ask."""

    send: Send[Q, A]
    most: int
    calls: int = 0
    waiting: "deque[_Waiting[Q, A]]" = field(default_factory=deque)


class Lanes(Generic[Q, A]):
    """Belongs to an event loop."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, _Lane[Q, A]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._lanes)

    async def ask(self, key: Hashable, send: Send[Q, A], question: Q, timeout_s: float, *, most: int) -> A:
        """Return the answer to one question. Those of one `key` may be sent by the `send` of any of them, `most` at
        once. Raises what `send` raises, and TimeoutError after `timeout_s` of waiting."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(send, most)
        if lane.calls:
            return await self._wait(key, lane, question, timeout_s)
        lane.calls += 1
        try:
            return (await send((question,), timeout_s))[0]
        finally:
            self._call_ended(key, lane)

    async def _wait(self, key: Hashable, lane: _Lane[Q, A], question: Q, timeout_s: float) -> A:
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Q, A] = _Waiting(question, loop.create_future(), loop.time() + timeout_s)
        lane.waiting.append(waiting)
        if len(lane.waiting) >= _WORTH_A_CALL:
            self._begin_another(key, lane)
        impatient = loop.call_later(_PATIENCE * timeout_s, self._begin_another, key, lane)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting.answer
        finally:
            impatient.cancel()

    def _begin_another(self, key: Hashable, lane: _Lane[Q, A]) -> None:
        if lane.calls < _CALLS_AT_ONCE:
            self._begin_call(key, lane)

    def _call_ended(self, key: Hashable, lane: _Lane[Q, A]) -> None:
        lane.calls -= 1
        if lane.calls == 0 or len(lane.waiting) >= _WORTH_A_CALL:
            self._begin_call(key, lane)
        if lane.calls == 0:
            self._lanes.pop(key, None)

    def _begin_call(self, key: Hashable, lane: _Lane[Q, A]) -> None:
        together = _take(lane)
        if together:
            lane.calls += 1
            task = asyncio.ensure_future(self._send_together(key, lane, together))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_together(self, key: Hashable, lane: _Lane[Q, A], together: "list[_Waiting[Q, A]]") -> None:
        try:
            await _answer(lane, together)
        finally:
            # Where a connection was closed under the call, nobody is left to answer.
            _fail(together, Unavailable("the connection was closed before the answer came; connect again"))
            self._call_ended(key, lane)


async def _answer(lane: _Lane[Q, A], together: "list[_Waiting[Q, A]]") -> None:
    together = [each for each in together if not each.answer.done()]
    timeout_s = max((each.give_up_at for each in together), default=0.0) - asyncio.get_running_loop().time()
    if timeout_s <= 0:
        for each in together:
            each.answer.set_exception(TimeoutError())
        return
    try:
        answers = await lane.send([each.question for each in together], timeout_s)
    except InvalidRequest as error:
        if len(together) == 1:
            _fail(together, error)
            return
        # One of the questions is at fault: each for itself, so that the others get their answers.
        for each in together:
            await _answer(lane, [each])
        return
    except PixvecError as error:
        _fail(together, error)
        return
    for each, answer in zip(together, answers, strict=True):
        if not each.answer.done():
            each.answer.set_result(answer)


def _take(lane: _Lane[Q, A]) -> "list[_Waiting[Q, A]]":
    together: list[_Waiting[Q, A]] = []
    while lane.waiting and len(together) < lane.most:
        waiting = lane.waiting.popleft()
        if not waiting.answer.done():
            together.append(waiting)
    return together


def _fail(together: "Sequence[_Waiting[Q, A]]", error: PixvecError) -> None:
    for each in together:
        if not each.answer.done():
            # Its own one for each: an exception carries the trace of where it was raised.
            own = type(error)(error.message, field=error.field, retry_after_s=error.retry_after_s)
            each.answer.set_exception(own)
