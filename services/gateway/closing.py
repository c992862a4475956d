"""Lets long streams end when the gateway is about to stop: their callers connect again, elsewhere or later."""

import asyncio
from contextlib import suppress

from pixvec.errors import Unavailable


class Closing:
    """Whether the gateway is about to stop."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Say that it is."""
        self._begun.set()

    def check(self) -> None:
        """Raise Unavailable when it is."""
        if self._begun.is_set():
            raise self.error()

    async def pause(self, seconds: float) -> None:
        """Sleep. Raises Unavailable as soon as the gateway is about to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._begun.wait()
        self.check()

    @staticmethod
    def error() -> Unavailable:
        """Return what the callers of streams are told."""
        return Unavailable("the gateway is stopping; connect again, what was accepted goes on", retry_after_s=0.5)
