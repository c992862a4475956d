"""Arguments that can never work are refused before they are sent."""

from typing import TypeVar

from pixvec.domain import Consistency, Metric, OnExisting
from pixvec.errors import InvalidRequest, PictureTooLarge
from pixvec.rpc.channels import MAX_MESSAGE_BYTES

_Choice = TypeVar("_Choice", Metric, OnExisting, Consistency)

# What a message may hold beside the picture: id and attributes.
_ENVELOPE_BYTES = 2 * 2**20


def choice(field: str, kind: type[_Choice], value: str) -> _Choice:
    """Return the member of that value. Raises InvalidRequest."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InvalidRequest(f"{field} must be one of {known}, not {value!r}", field=field) from None


def not_negative(field: str, value: int) -> int:
    """Return a number that fits an unsigned field. Raises InvalidRequest."""
    if not 0 <= value < 2**32:
        raise InvalidRequest(f"{field} must be a number that is not negative, not {value}", field=field)
    return value


def check_size(name: str, size_bytes: int) -> None:
    """Raise PictureTooLarge for a picture that no message can carry."""
    limit = MAX_MESSAGE_BYTES - _ENVELOPE_BYTES
    if size_bytes > limit:
        raise PictureTooLarge(
            f"{name} has {size_bytes / 2**20:.0f} MiB, and a message carries {limit / 2**20:.0f}: shrink the picture"
        )
