import asyncio
import threading

import pytest

from pixvec.errors import Overloaded
from services.searcher.threads import Threads
from tests.in_loop import in_loop


@in_loop
async def test_refuses_at_once_what_would_wait_too_long() -> None:
    threads, leave = Threads("searches", 1, max_waiting=2), threading.Event()
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
    threads, entered, leave = Threads("searches", 1), threading.Event(), threading.Event()
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
