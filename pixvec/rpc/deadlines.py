"""How much time a call has."""

from typing import Protocol


class HasDeadline(Protocol):
    """What a servicer's context knows of time."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller gives up, None when it did not say."""


def time_left_s(context: HasDeadline, default_s: float) -> float:
    """Return the seconds left for a call: what the caller said, or `default_s`. Never negative."""
    remaining = context.time_remaining()
    # gRPC gives a time years away for a call without a deadline.
    if remaining is None or remaining > 10**6:
        return default_s
    return max(0.0, remaining)
