import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pixvec.errors import InvalidVector, Overloaded, Unavailable
from pixvec.index.interfaces import Float32Array, ShardHits
from services.searcher import search_queue
from services.searcher.search_queue import SearchQueue
from tests.in_loop import in_loop

LATER = time.monotonic() + 1e6


class Engine:
    """Answers a row with its first number; can be held up, and remembers how many rows came together."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Semaphore(0)

    def __call__(self, vectors: Float32Array) -> list[ShardHits]:
        self.calls.append(len(vectors))
        self.began.release()
        assert self.free.wait(30)
        if (vectors < 0).any():
            raise InvalidVector("negative", field="vector")
        return [ShardHits([f"{row[0]:g}"], row[:1]) for row in vectors]


@pytest.fixture
def queue() -> Iterator[Callable[..., SearchQueue]]:
    made: list[SearchQueue] = []

    def make(threads: int = 1, max_waiting: int = 100) -> SearchQueue:
        made.append(SearchQueue(threads, max_waiting))
        return made[-1]

    yield make
    for each in made:
        each.close()


def rows(*numbers: float) -> Float32Array:
    return np.array([[number] for number in numbers], np.float32)


async def ask(
    queue: SearchQueue, engine: Engine, *numbers: float, key: str = "lane", until: float = LATER
) -> list[str]:
    hits, seconds = await queue.search(key, engine, rows(*numbers), until)
    assert seconds >= 0
    return [image_id for each in hits for image_id in each.image_ids]


async def held_up(queue: SearchQueue, engine: Engine) -> "asyncio.Task[list[str]]":
    """Begin a search that lasts until the engine is free."""
    engine.free.clear()
    task = asyncio.ensure_future(ask(queue, engine, 0))
    await asyncio.to_thread(engine.began.acquire)
    return task


@in_loop
async def test_each_caller_gets_its_own_rows(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    answers = await asyncio.gather(*(ask(searching, engine, number, number + 100) for number in range(20)))
    assert answers == [[f"{number}", f"{number + 100}"] for number in range(20)]
    assert sum(engine.calls) == 40


@in_loop
async def test_what_one_turn_brings_goes_together(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    await asyncio.gather(*(ask(searching, engine, number) for number in range(7)))
    assert engine.calls == [7]


@in_loop
async def test_what_comes_during_a_search_goes_together_afterwards(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    first = await held_up(searching, engine)
    waiting = []
    for number in (1, 2, 3):
        waiting.append(asyncio.ensure_future(ask(searching, engine, number)))
        await asyncio.sleep(0)
    engine.free.set()
    assert await first == ["0"]
    assert await asyncio.gather(*waiting) == [["1"], ["2"], ["3"]]
    assert engine.calls == [1, 3]


@in_loop
async def test_other_lanes_do_not_mix(queue: Callable[..., SearchQueue]) -> None:
    one, other, searching = Engine(), Engine(), queue(2)
    await asyncio.gather(ask(searching, one, 1, key="one"), ask(searching, other, 2, key="other"))
    assert (one.calls, other.calls) == ([1], [1])


@in_loop
async def test_no_search_grows_beyond_its_limit(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    answers = await asyncio.gather(*(ask(searching, engine, *range(30)) for _ in range(5)))
    assert all(len(answer) == 30 for answer in answers)
    assert max(engine.calls) == 60


@in_loop
async def test_the_one_at_fault_fails_alone(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    answers = await asyncio.gather(*(ask(searching, engine, n) for n in (1, -1, 2)), return_exceptions=True)
    assert answers[0] == ["1"]
    assert isinstance(answers[1], InvalidVector)
    assert answers[2] == ["2"]


@in_loop
async def test_an_error_of_the_search_itself_reaches_everyone(queue: Callable[..., SearchQueue]) -> None:
    def broken(vectors: Float32Array) -> list[ShardHits]:
        raise RuntimeError("broken")

    searching = queue()
    calls = [searching.search("lane", broken, rows(n), LATER) for n in (1, 2)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["broken", "broken"]


@in_loop
async def test_too_many_are_refused_at_once(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue(max_waiting=2)
    first = await held_up(searching, engine)
    waiting = [asyncio.ensure_future(ask(searching, engine, number)) for number in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await ask(searching, engine, 3)
    engine.free.set()
    assert await asyncio.gather(first, *waiting) == [["0"], ["1"], ["2"]]


@in_loop
async def test_a_passed_deadline_costs_no_search(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    with pytest.raises(Unavailable, match="deadline"):
        await ask(searching, engine, 1, until=time.monotonic() - 1)
    assert engine.calls == []


@in_loop
async def test_a_caller_that_has_gone_costs_no_search(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    first = await held_up(searching, engine)
    gone = asyncio.ensure_future(ask(searching, engine, 1))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    engine.free.set()
    assert await first == ["0"]
    assert await ask(searching, engine, 2) == ["2"]
    assert engine.calls == [1, 1]


@in_loop
async def test_short_searches_go_in_the_loop_and_long_ones_do_not(queue: Callable[..., SearchQueue]) -> None:
    where: list[str] = []

    def search(vectors: Float32Array) -> list[ShardHits]:
        where.append(threading.current_thread().name)
        return [ShardHits([], np.zeros(0, np.float32)) for _ in vectors]

    searching = queue()
    for _ in range(60):
        await searching.search("lane", search, rows(1), LATER)
    assert where[0].startswith("search-")
    assert where[-1] == threading.current_thread().name


@in_loop
async def test_a_search_that_waits_for_a_gpu_is_no_short_one(
    queue: Callable[..., SearchQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes no time on the processor, but would hold the loop up."""
    where: list[str] = []
    waited = threading.local()

    def search(vectors: Float32Array) -> list[ShardHits]:
        where.append(threading.current_thread().name)
        waited.seconds = getattr(waited, "seconds", 0.0) + 0.01
        return [ShardHits([], np.zeros(0, np.float32)) for _ in vectors]

    monkeypatch.setattr(search_queue, "waited_s", lambda: getattr(waited, "seconds", 0.0))
    searching = queue()
    for _ in range(60):
        await searching.search("lane", search, rows(1), LATER)
    assert all(name.startswith("search-") for name in where)


@in_loop
async def test_a_large_call_goes_in_slices(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue(2)
    assert await ask(searching, engine, *range(150)) == [f"{number}" for number in range(150)]
    assert sorted(engine.calls) == [22, 64, 64]


@in_loop
async def test_a_large_call_fails_as_a_small_one(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue(2)
    with pytest.raises(InvalidVector):
        await ask(searching, engine, *range(100), -1)


@in_loop
async def test_a_lane_that_is_done_keeps_nothing(queue: Callable[..., SearchQueue]) -> None:
    searching = queue()
    for number in range(20):
        engine = Engine()
        gone = weakref.ref(engine)
        await ask(searching, engine, 1, key=f"{number}")
        del engine
        await asyncio.sleep(0.01)
        gc.collect()
        assert gone() is None


@in_loop
async def test_a_flood_of_one_lane_keeps_no_other_waiting(queue: Callable[..., SearchQueue]) -> None:
    flood, searching, before = Engine(), queue(max_waiting=1000), []

    def other(vectors: Float32Array) -> list[ShardHits]:
        before.append(len(flood.calls))
        return [ShardHits(["7"], vectors[0])]

    first = await held_up(searching, flood)
    many = [asyncio.ensure_future(ask(searching, flood, *range(60))) for _ in range(10)]
    await asyncio.sleep(0)
    alone = asyncio.ensure_future(searching.search("other", other, rows(7), LATER))
    await asyncio.sleep(0)
    flood.free.set()
    await alone
    assert before == [2]
    await asyncio.gather(first, *many)


@in_loop
async def test_no_more_rows_go_together_than_asked_for(queue: Callable[..., SearchQueue]) -> None:
    engine, searching = Engine(), queue()
    hits, _ = await searching.search("lane", engine, rows(*range(10)), LATER, max_rows=3)
    assert len(hits) == 10
    assert max(engine.calls) == 3
