"""One round of calls: every searcher about its shards, another replica beside one that is slow."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from pixvec.errors import PixvecError, ShardUnavailable
from pixvec.telemetry.metrics import SHARD_CALLS_HEDGED
from services.gateway.gathered import A, Ask, Gathered
from services.gateway.hedging import Hedging


@dataclass(frozen=True, slots=True)
class Call:
    """A searcher and the shards that it is asked about. `has_other`: some of them have another replica."""

    address: str
    shards: tuple[int, ...]
    has_other: bool


class Round(Generic[A]):
    """Makes calls of at most `timeout_s`. Where `partial_after_s` is given and some shards have answered, the others
    get so long after that, or as long again as that took. `others` returns the calls that do in place of one."""

    def __init__(
        self,
        gathered: Gathered[A],
        ask: Ask[A],
        others: Callable[[Call], Sequence[Call]],
        hedging: Hedging,
        timeout_s: float,
        partial_after_s: float | None,
    ) -> None:
        self._gathered = gathered
        self._ask = ask
        self._others = others
        self._hedging = hedging
        self._timeout_s = timeout_s
        self._partial_after_s = partial_after_s
        self._begun = _now()
        self._cut_at: float | None = None

    async def make(self, calls: Sequence[Call]) -> None:
        """Take in what the searchers answer. Raises what any replica would answer."""
        # One searcher is the common case, and needs no task of its own.
        if len(calls) == 1 and self._patience_s() is None:
            await self._make(calls[0])
        elif calls:
            await self._make_all(calls)

    async def _make_all(self, calls: Sequence[Call]) -> None:
        running = {asyncio.create_task(self._make(call)): call for call in calls}
        pending = set(running)
        try:
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
                if not done:
                    self._leave_out([running[task] for task in pending])
                    return
        finally:
            await _cancel(running)

    def _patience_s(self) -> float | None:
        """Return how long to wait for those that have not answered yet, None for the whole time."""
        if self._partial_after_s is None or not self._gathered.answered:
            return None
        if self._cut_at is None:
            self._cut_at = _now() + max(self._partial_after_s, _now() - self._begun)
        return max(0.0, self._cut_at - _now())

    def _leave_out(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self._failed(call, ShardUnavailable(f"{call.address} has not answered long after others have"))

    async def _make(self, call: Call) -> None:
        self._hedging.began()
        if call.has_other:
            await self._make_hedged(call)
            return
        try:
            answer = await self._answer(call)
        except PixvecError as error:
            self._failed(call, error)
        else:
            self._gathered.add(call.address, call.shards, answer)

    async def _make_hedged(self, call: Call) -> None:
        racing = {asyncio.create_task(self._answer(call)): call}
        try:
            done, _ = await asyncio.wait(racing, timeout=self._hedging.delay_s)
            if not done:
                racing |= {asyncio.create_task(self._answer(hedge)): hedge for hedge in self._hedges(call)}
            await self._race(call, racing)
        finally:
            await _cancel(racing)

    def _hedges(self, call: Call) -> Sequence[Call]:
        others = self._others(call)
        if not others or not self._hedging.may_ask_twice(len(others)):
            return ()
        SHARD_CALLS_HEDGED.inc()
        return others

    async def _race(self, call: Call, racing: "Mapping[asyncio.Task[A], Call]") -> None:
        """Take the answer of the call, or those of all its hedges if they are there first."""
        hedged: list[tuple[Call, A]] = []
        pending = set(racing)
        while pending and not 0 < len(hedged) == len(racing) - 1:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                asked = racing[task]
                try:
                    answer = task.result()
                except PixvecError as error:
                    self._failed(asked, error)
                    continue
                if asked is call:
                    self._gathered.add(call.address, call.shards, answer)
                    return
                hedged.append((asked, answer))
        self._hedging.was_slow(call.address, _now())
        for asked, answer in hedged:
            self._gathered.add(asked.address, asked.shards, answer)

    async def _answer(self, call: Call) -> A:
        begun = _now()
        answer = await self._ask(call.address, call.shards, self._timeout_s)
        self._hedging.took(call.address, _now() - begun)
        return answer

    def _failed(self, call: Call, error: PixvecError) -> None:
        self._gathered.note(call.address, error)
        self._hedging.was_slow(call.address, _now())


async def _cancel(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    unfinished = [task for task in tasks if not task.done()]
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
