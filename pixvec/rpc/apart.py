"""Keeps what takes long out of the event loop: an answer of very many hits is put together in a thread."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")

# A loop that stops for so many is late by some milliseconds; fewer are not worth the way to a thread and back.
MANY_HITS = 10_000


async def put_together(hits: int, call: Callable[..., _Result], *arguments: object) -> _Result:
    """Return what the call returns, which goes through about so many hits."""
    return call(*arguments) if hits < MANY_HITS else await asyncio.to_thread(call, *arguments)
