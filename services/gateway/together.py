"""Several calls at the same time, of which each is needed."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def all_of(calls: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Return what the calls return, in order. Where one raises, that is raised, and the others are cancelled: nobody
    waits for them any more."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
