"""Which items of a chunk a lease charges with an attempt."""

from collections.abc import Sequence

from pixvec.domain import ItemError
from pixvec.errors import AttemptsExhausted

MAX_ATTEMPTS = 3
_FIRST_PAUSE_S = 20.0
_GROWTH = 4


def is_last(attempt: int) -> bool:
    """Whether no attempt follows this one: what goes wrong now is how the item ends, be it a passing trouble."""
    return attempt >= MAX_ATTEMPTS


def pause_s(attempt: int) -> float:
    """Return how many seconds a chunk rests after an attempt that a passing trouble ended, longer after each."""
    return float(_FIRST_PAUSE_S * _GROWTH ** (attempt - 1))


def exhausted(attempts: Sequence[int]) -> list[int]:
    """Return the places of the items that have had every attempt, given the attempts of the open items by ordinal."""
    return [place for place, attempt in enumerate(attempts) if attempt >= MAX_ATTEMPTS]


def charged(attempts: Sequence[int]) -> list[int]:
    """Return the places of the items that a new lease charges.

    The first two leases charge every item. From the second on a worker takes them one by one in order, so when it dies
    again, only the first one still open can have been the cause: charging the others would fail innocent pictures.
    """
    return [place for place, attempt in enumerate(attempts) if attempt < MAX_ATTEMPTS - 1 or place == 0]


def refunded(attempts: Sequence[int]) -> list[int]:
    """Return the places of the items that get an attempt back when a lease is released unused."""
    if not attempts:
        return []
    if attempts[0] > min(attempts):
        return [0]
    return [place for place, attempt in enumerate(attempts) if attempt > 0]


def exhaustion(image_id: str, uri: str) -> ItemError:
    """Return the error of an item that has had every attempt."""
    name = f"image {image_id!r}" + (f" from {uri}" if uri else "")
    message = f"{name} took its worker down {MAX_ATTEMPTS} times: look at the worker's log, then send it again"
    return ItemError(AttemptsExhausted.reason, message, AttemptsExhausted.retryable)
