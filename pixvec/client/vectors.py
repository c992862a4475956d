"""Vectors of whatever kind the caller has, as the packed little-endian float32 that goes over the wire."""

import struct
import sys
from array import array
from collections.abc import Iterable
from typing import TypeAlias

from pixvec.errors import InvalidVector

# A numpy array, array.array or anything else with the buffer protocol; packed float32 bytes; or numbers one by one.
VectorLike: TypeAlias = bytes | bytearray | memoryview | Iterable[float]
# A numpy array of two dimensions, or any other such buffer; or vectors one by one.
MatrixLike: TypeAlias = Iterable[VectorLike]

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


def pack_vectors(vectors: MatrixLike) -> tuple[bytes, int]:
    """Return some vectors of one length as packed little-endian float32, row after row, and that length.

    Raises InvalidVector for anything that is not rows of numbers. Values are checked by the server.
    """
    try:
        view = memoryview(vectors)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return _joined(_rows(vectors))
    shape = view.shape or ()
    if len(shape) != 2 or not all(shape):
        raise InvalidVector(f"a batch is rows of numbers, not an array of shape {shape}", field="vectors")
    return _pack(view), shape[1]


def _rows(vectors: MatrixLike) -> list[bytes]:
    try:
        return [_packed_row(index, vector) for index, vector in enumerate(vectors)]
    except TypeError as error:
        raise InvalidVector(f"a batch is rows of numbers: {error}", field="vectors") from error


def _packed_row(index: int, vector: VectorLike) -> bytes:
    try:
        return pack_vector(vector)
    except InvalidVector as error:
        raise InvalidVector(f"query {index}: {error.message}", field="vectors") from error


def _joined(rows: list[bytes]) -> tuple[bytes, int]:
    size = len(rows[0]) if rows else 0
    for index, row in enumerate(rows):
        if len(row) != size:
            raise InvalidVector(
                f"query {index}: a vector of {len(row) // 4} numbers after those of {size // 4}", field="vectors"
            )
    if not rows:
        raise InvalidVector("a batch has at least one vector", field="vectors")
    return b"".join(rows), size // 4


def _from_buffer(view: memoryview) -> bytes:
    count = view.nbytes // view.itemsize
    if not view.shape or max(view.shape) != count:
        raise InvalidVector(f"a query is one vector, not an array of shape {view.shape}", field="vector")
    return _pack(view)


def _pack(view: memoryview) -> bytes:
    order, code = _format(view)
    if code == "f" and order == "<":
        return _checked(view.tobytes())
    count = view.nbytes // view.itemsize
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
