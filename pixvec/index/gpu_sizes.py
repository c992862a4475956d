"""What a segment takes of a device's memory: the arithmetic that a refusal shows."""

from dataclasses import dataclass
from enum import StrEnum

from pixvec.domain import IndexKind

# FAISS keeps lists on a GPU in groups of 32 rows, the last one of each list padded, ...
_GROUP_ROWS = 32
# ... and rounds each allocation up to 256 bytes: a list has one for codes, one for row numbers, and two addresses.
_LIST_BYTES = 2 * 256 + 2 * 8 + 8
_NORM_BYTES = _ROW_NUMBER_BYTES = 4

_BY_LISTS = frozenset({IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ})
_BY_PATHS = frozenset({IndexKind.HNSW})


class Form(StrEnum):
    """How a segment lies on a device: every vector compared one by one, or inverted lists of 8-bit codes."""

    FLAT = "flat"
    LISTS = "lists"


@dataclass(frozen=True, slots=True)
class Share:
    """What one segment takes in one form; `arithmetic` says how that comes about."""

    size_bytes: int
    arithmetic: str


def default_form(kind: IndexKind) -> Form | None:
    """Return the form that searches without further options go to; None for graphs, which stay on the CPU."""
    if kind in _BY_PATHS:
        return None
    return Form.LISTS if kind in _BY_LISTS else Form.FLAT


def flat_bytes(rows: int, dim: int, *, half: bool) -> int:
    """Return what rows take that are compared one by one."""
    return rows * (dim * _value_bytes(half) + _NORM_BYTES)


def list_bytes(rows: int, dim: int, lists: int) -> int:
    """Return what rows take at most in inverted lists."""
    return rows * (dim + _ROW_NUMBER_BYTES) + lists * _bytes_a_list(dim)


def share_of(form: Form, rows: int, dim: int, *, half: bool, lists: int) -> Share:
    """Return what a segment takes in this form."""
    if form is Form.FLAT:
        arithmetic = f"{rows} rows * ({dim} dimensions * {_value_bytes(half)} bytes + {_NORM_BYTES})"
        return Share(flat_bytes(rows, dim, half=half), arithmetic)
    codes = f"{rows} rows * ({dim} dimensions + {_ROW_NUMBER_BYTES})"
    return Share(list_bytes(rows, dim, lists), f"{codes} + {lists} lists * {_bytes_a_list(dim)}")


def _bytes_a_list(dim: int) -> int:
    return (_GROUP_ROWS - 1) * dim + 4 * dim + _NORM_BYTES + _LIST_BYTES


def _value_bytes(half: bool) -> int:
    return 2 if half else 4
