"""Vectors of whatever kind the caller has, as the packed little-endian float32 that goes over the wire."""

import sys
from array import array
from collections.abc import Iterable
from typing import TypeAlias

from pixvec.errors import InvalidVector

# A numpy array, array.array or anything else with the buffer protocol; packed float32 bytes; or numbers one by one.
VectorLike: TypeAlias = bytes | bytearray | memoryview | Iterable[float]


def pack_vector(vector: VectorLike) -> bytes:
    """Return the vector as packed little-endian float32. Bytes are taken to be that already.

    Raises InvalidVector for anything that is not one row of numbers. Values are checked by the server.
    """
    if isinstance(vector, bytes | bytearray):
        return _checked(bytes(vector))
    try:
        view = memoryview(vector)  # type: ignore[arg-type]
    except TypeError:
        return _from_numbers(vector)
    return _from_buffer(view)


def _from_buffer(view: memoryview) -> bytes:
    if view.shape and max(view.shape) != view.nbytes // view.itemsize:
        raise InvalidVector(f"a query is one vector, not an array of shape {view.shape}", field="vector")
    if view.format in ("f", "<f") and sys.byteorder == "little":
        return _checked(view.tobytes())
    if view.format == "B":
        return _checked(view.tobytes())
    if view.format.strip("<>=@") not in ("e", "f", "d", "b", "h", "i", "l", "q", "H", "I", "L", "Q"):
        raise InvalidVector(f"a vector holds numbers, not items of format {view.format!r}", field="vector")
    return _from_numbers(_flat(view.tolist()))


def _flat(rows: Iterable[float]) -> list[float]:
    values = list(rows)
    while len(values) == 1 and isinstance(values[0], list):
        values = values[0]
    return values


def _from_numbers(values: Iterable[float]) -> bytes:
    try:
        packed = array("f", values)
    except (TypeError, OverflowError) as error:
        raise InvalidVector(f"a vector is a sequence of numbers: {error}", field="vector") from error
    if sys.byteorder != "little":
        packed.byteswap()
    return _checked(packed.tobytes())


def _checked(packed: bytes) -> bytes:
    if not packed or len(packed) % 4:
        raise InvalidVector(f"{len(packed)} bytes are no packed float32 vector", field="vector")
    return packed
