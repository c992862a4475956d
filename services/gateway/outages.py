"""Goes on through short outages of what the gateway stands on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pixvec.errors import Overloaded, Unavailable
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_Result = TypeVar("_Result")
_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


async def through_outage(attempt: Callable[[], Awaitable[_Result]], outage_s: float) -> _Result:
    """Return what `attempt` returns, which may run twice; while it raises Unavailable or Overloaded, try again for
    `outage_s`, then raise the last error."""
    give_up_at = time.monotonic() + outage_s
    pause_s = _PAUSE_S
    while True:
        try:
            return await attempt()
        except (Unavailable, Overloaded) as error:
            if time.monotonic() + pause_s > give_up_at:
                raise
            log.warning("outage", reason=error.reason, error=error.message, next_attempt_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
