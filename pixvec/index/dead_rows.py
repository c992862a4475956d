"""Which rows of a segment are dead: marked by the one writer, seen by readers as it was when they began."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

BoolArray: TypeAlias = npt.NDArray[np.bool_]


class DeadRows:
    """The marks of `rows` rows. A mask that was published is copied before the next mark."""

    __slots__ = ("_is_shared", "_mask", "_rows", "count")

    def __init__(self, rows: int, mask: BoolArray | None = None) -> None:
        self._rows = rows
        self._mask = mask
        self._is_shared = mask is not None
        self.count = 0 if mask is None else int(np.count_nonzero(mask))

    def bury(self, rows: range) -> None:
        """Mark rows that are alive."""
        if self._mask is None:
            self._mask = np.zeros(self._rows, np.bool_)
        elif self._is_shared:
            self._mask = self._mask.copy()
        self._is_shared = False
        self._mask[rows.start : rows.stop] = True
        self.count += len(rows)

    def is_dead(self, row: int) -> bool:
        """Whether this row is marked."""
        return self._mask is not None and bool(self._mask[row])

    def publish(self) -> BoolArray | None:
        """Return the marks as they are now, (rows,), or None while there are none."""
        self._is_shared = True
        return self._mask

    def among(self, rows: npt.NDArray[np.integer]) -> BoolArray:
        """Return for each of these rows whether it is marked."""
        if self._mask is None:
            return np.zeros(len(rows), np.bool_)
        marked: BoolArray = self._mask[rows]
        return marked
