"""Vectors of whatever kind the caller has, as the packed little-endian float32 that goes over the wire."""

import struct
import sys
from array import array
from collections.abc import Iterable
from typing import TypeAlias

from pixvec.errors import InvalidVector

# A numpy array, array.array or anything else with the buffer protocol; packed float32 bytes; or numbers one by one.
VectorLike: TypeAlias = bytes | bytearray | memoryview | Iterable[float]

# Numbers that the buffer protocol names, of any byte order: half to double floats, and integers.
_FORMATS = frozenset("efdbBhHiIlLqQ")


def pack_vector(vector: VectorLike) -> bytes:
    """Return the vector as packed little-endian float32. Bytes, or a memoryview of bytes, are taken to be that already.

    Raises InvalidVector for anything that is not one row of numbers. Values are checked by the server.
    """
    if isinstance(vector, bytes | bytearray) or (isinstance(vector, memoryview) and vector.format == "B"):
        return _checked(bytes(vector))
    try:
        view = memoryview(vector)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return _from_numbers(vector)
    return _from_buffer(view)


def _from_buffer(view: memoryview) -> bytes:
    count = view.nbytes // view.itemsize
    if not view.shape or max(view.shape) != count:
        raise InvalidVector(f"a query is one vector, not an array of shape {view.shape}", field="vector")
    order, code = _format(view)
    if code == "f" and order == "<":
        return _checked(view.tobytes())
    # Not tolist(): it knows neither half floats nor another byte order than the machine's.
    return _from_numbers(struct.unpack(f"{order}{count}{code}", view.tobytes()))


def _format(view: memoryview) -> tuple[str, str]:
    """Return byte order and kind of the items as `struct` writes them."""
    order, code = view.format[:-1] or "@", view.format[-1:]
    if order not in ("@", "=", "<", ">", "!") or code not in _FORMATS:
        raise InvalidVector(
            f"a vector holds real numbers, not items of format {view.format!r}: convert it to float32", field="vector"
        )
    if code == "f" and order in ("@", "="):
        order = "<" if sys.byteorder == "little" else ">"
    return order, code


def _from_numbers(values: Iterable[float]) -> bytes:
    try:
        packed = array("f", values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidVector(f"a vector is a sequence of numbers: {error}", field="vector") from error
    if sys.byteorder != "little":
        packed.byteswap()
    return _checked(packed.tobytes())


def _checked(packed: bytes) -> bytes:
    if not packed or len(packed) % 4:
        raise InvalidVector(f"{len(packed)} bytes are no packed float32 vector", field="vector")
    return packed
