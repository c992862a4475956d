"""The image ids of a sealed segment: packed, mapped from a file, found by row and by id without a Python object each.

File: five little-endian numbers (magic, rows, images, bytes of ids, reserved), then
    hashes   (images,) uint64, ascending, xxhash64 of each id
    by_hash  (images,) uint32, the image of each hash
    first    (images + 1,) uint32, the first row of each image; rows of an image are neighbours
    begin    (images + 1,) uint32, where each id begins in `text`
    text     UTF-8, id after id
"""

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash

_MAGIC = 0x31_73_64_69_76_78_69_70
_HEADER = np.dtype("<u8")
_HEADER_FIELDS = 5


class IdTable:
    """Maps a file written by `pack_ids`, whose bytes have been checked: nothing here distrusts it."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, self.row_count, self.image_count, _, _ = np.frombuffer(content, _HEADER, _HEADER_FIELDS).tolist()
        if magic != _MAGIC:
            raise ValueError(f"{path} is no id table")
        at = _HEADER_FIELDS * 8
        images = self.image_count
        self._hashes = np.frombuffer(content, "<u8", images, at)
        at += 8 * images
        self._by_hash = np.frombuffer(content, "<u4", images, at)
        at += 4 * images
        self._first = np.frombuffer(content, "<u4", images + 1, at)
        at += 4 * (images + 1)
        self._begin = np.frombuffer(content, "<u4", images + 1, at)
        self._text = memoryview(content)[at + 4 * (images + 1) :]
        self.is_one_row_each = self.row_count == images

    def ids(self, rows: npt.NDArray[np.integer]) -> list[str]:
        """Return the image of each row."""
        images = self.images(rows)
        begins, ends = self._begin[images].tolist(), self._begin[images + 1].tolist()
        text = self._text
        return [str(text[begin:end], "utf-8") for begin, end in zip(begins, ends, strict=True)]

    def images(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return the number of each row's image."""
        if self.is_one_row_each:
            return rows
        return np.searchsorted(self._first, rows, side="right") - 1

    def ordinals(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return which of its image's each row is."""
        ordinals: npt.NDArray[np.integer] = rows - self._first[self.images(rows)]
        return ordinals

    def find(self, image_ids: Sequence[str]) -> list[range]:
        """Return the rows of each image, an empty range for one that is not here."""
        wanted = np.array([xxhash.xxh64_intdigest(each.encode()) for each in image_ids], np.uint64)
        places = np.searchsorted(self._hashes, wanted).tolist()
        return [self._find_from(place, image_id) for place, image_id in zip(places, image_ids, strict=True)]

    def _find_from(self, place: int, image_id: str) -> range:
        """Look at the images of equal hashes, one after the other; nearly always there is one or none."""
        if place == self.image_count:
            return range(0)
        wanted, found = image_id.encode(), self._hashes[place]
        while place < self.image_count and self._hashes[place] == found:
            image = int(self._by_hash[place])
            if self._text[int(self._begin[image]) : int(self._begin[image + 1])] == wanted:
                return range(int(self._first[image]), int(self._first[image + 1]))
            place += 1
        return range(0)


def pack_ids(image_ids: Sequence[str]) -> bytes:
    """Return the file for these rows: one id a row, those of one image neighbours."""
    first = [row for row, image_id in enumerate(image_ids) if not row or image_id != image_ids[row - 1]]
    packed = [image_ids[row].encode() for row in first]
    hashes = np.array([xxhash.xxh64_intdigest(each) for each in packed], "<u8")
    order = np.argsort(hashes, kind="stable")
    begin = np.zeros(len(packed) + 1, "<u4")
    np.cumsum([len(each) for each in packed], out=begin[1:])
    header = np.array([_MAGIC, len(image_ids), len(packed), int(begin[-1]), 0], _HEADER)
    starts = np.array([*first, len(image_ids)], "<u4")
    parts = (header, hashes[order], order.astype("<u4"), starts, begin)
    return b"".join([part.tobytes() for part in parts] + packed)
