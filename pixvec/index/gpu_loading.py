"""Copies a sealed segment to a device. What can be prepared beside it is: the device searches on meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pixvec.domain import Metric
from pixvec.index.building import CHUNK_ROWS
from pixvec.index.gpu import Device, DeviceFailed, DeviceIndex, Found
from pixvec.index.gpu_lists import int8_lists
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_sizes import Form
from pixvec.index.interfaces import Float32Array
from pixvec.index.rows import row_lengths
from pixvec.index.sealed import SealedSegment

# Each part of a flat copy goes over in one go, and takes this much of the machine's memory meanwhile.
_PART_BYTES = 512 * 2**20


@dataclass(slots=True)
class Loaded:
    """A segment on a device. `half`: queries are rounded to float16; `longest`: the length of the longest row."""

    owner: DeviceOwner
    index: DeviceIndex
    half: bool = False
    longest: float = 0.0
    has_failed: bool = False

    def close(self) -> None:
        """Give the memory back, after the searches under way. Raises DeviceFailed."""
        self.owner.run(lambda _: self.index.close())


class Parts:
    """A DeviceIndex of several; with each comes the number of its first row."""

    def __init__(self, metric: Metric, parts: Sequence[tuple[int, DeviceIndex]]) -> None:
        self._sign = 1.0 if metric is Metric.EUCLIDEAN else -1.0
        self._parts = parts

    def search(self, queries: Float32Array, k: int, nprobe: int) -> Found:
        """See DeviceIndex. No row that is left out is nearer than the last one returned."""
        found = [(first, part.search(queries, k, nprobe)) for first, part in self._parts]
        distances = np.concatenate([each.distances for _, each in found], axis=1)
        rows = np.concatenate([np.where(each.rows < 0, -1, each.rows + first) for first, each in found], axis=1)
        order = np.argsort(self._sign * distances, axis=1, kind="stable")[:, :k]
        return Found(np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1))

    def close(self) -> None:
        """See DeviceIndex."""
        for _, part in self._parts:
            part.close()


def load(segment: SealedSegment, form: Form, owner: DeviceOwner, *, part_bytes: int = _PART_BYTES) -> Loaded:
    """Copy the segment. Raises DeviceFailed; nothing is left on the device then."""
    if form is Form.LISTS:
        lists = int8_lists(segment)
        return Loaded(owner, owner.run(lambda device: device.lists(lists)))
    return _load_flat(segment, owner, max(1, part_bytes // (4 * segment.space.dim)))


def _load_flat(segment: SealedSegment, owner: DeviceOwner, part_rows: int) -> Loaded:
    metric, half = segment.space.metric, segment.is_half
    parts: list[tuple[int, DeviceIndex]] = []
    loaded = Loaded(owner, Parts(metric, parts), half)
    try:
        for first, rows in _parts_of(segment, part_rows):
            loaded.longest = max(loaded.longest, _longest(rows))
            parts.append((first, owner.run(_copy(rows, metric, half=half))))
    except DeviceFailed:
        loaded.close()
        raise
    if len(parts) == 1:
        loaded.index = parts[0][1]
    return loaded


def _parts_of(segment: SealedSegment, part_rows: int) -> Iterator[tuple[int, Float32Array]]:
    for first in range(0, segment.row_count, part_rows):
        rows = np.empty((min(part_rows, segment.row_count - first), segment.space.dim), np.float32)
        for begin in range(0, len(rows), CHUNK_ROWS):
            end = min(begin + CHUNK_ROWS, len(rows))
            rows[begin:end] = segment.take(np.arange(first + begin, first + end))
        yield first, rows


def _longest(rows: Float32Array) -> float:
    parts = (rows[begin : begin + CHUNK_ROWS] for begin in range(0, len(rows), CHUNK_ROWS))
    return max(float(row_lengths(part).max()) for part in parts)


def _copy(rows: Float32Array, metric: Metric, *, half: bool) -> Callable[[Device], DeviceIndex]:
    return lambda device: device.flat(rows, metric, half=half)
