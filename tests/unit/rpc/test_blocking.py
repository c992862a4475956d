import asyncio
import threading

import pytest

from pixvec.errors import Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from tests.in_loop import in_loop


@in_loop
async def test_refuses_at_once_what_would_wait_too_long() -> None:
    threads, leave = BlockingCalls("searches", 1, max_waiting=2), threading.Event()
    running = [threads.start(leave.wait, 30) for _ in range(2)]
    with pytest.raises(Overloaded, match="searches") as caught:
        threads.start(leave.wait, 30)
    assert caught.value.retry_after_s
    leave.set()
    assert await asyncio.gather(*running) == [True, True]
    await asyncio.sleep(0)
    assert await threads.run(int, "7") == 7
    threads.close()


@in_loop
async def test_a_call_cancelled_before_it_began_does_not_begin() -> None:
    threads, entered, leave = BlockingCalls("searches", 1), threading.Event(), threading.Event()
    began: list[int] = []

    def block() -> None:
        entered.set()
        leave.wait(30)

    first = threads.start(block)
    await asyncio.to_thread(entered.wait, 30)
    waiting = asyncio.create_task(threads.run(began.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    leave.set()
    await first
    await threads.run(began.append, 2)
    assert began == [2]
    threads.close()


@in_loop
async def test_a_thread_counts_until_it_is_free_whatever_becomes_of_the_caller() -> None:
    calls, leave = BlockingCalls("database", 1, max_waiting=1), threading.Event()
    entered = threading.Event()
    caller = calls.start(lambda: entered.set() or leave.wait(30))
    await asyncio.to_thread(entered.wait, 30)
    caller.cancel()
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        calls.start(int)
    leave.set()
    calls.close()


@in_loop
async def test_a_read_is_not_waited_for_without_end() -> None:
    threads, leave = BlockingCalls("database", 2, read_within_s=0.01), threading.Event()
    with pytest.raises(Unavailable, match="the database has not answered for 0 s; try again") as caught:
        await threads.read(leave.wait, 30)
    assert caught.value.retry_after_s
    assert await BlockingCalls("database", 1, read_within_s=30).read(int, "7") == 7
    leave.set()
    threads.close()


@in_loop
async def test_a_read_raises_what_its_call_raises() -> None:
    def fail() -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        await BlockingCalls("database", 1).read(fail)
