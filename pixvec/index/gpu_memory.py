"""The in-memory twin of a GPU: FAISS's CPU indexes under its limits, with its coarser arithmetic and little memory."""

import threading
from typing import Any

import numpy as np

from pixvec.domain import Metric
from pixvec.index.gpu import MAX_SELECTED, Declined, DeviceFailed, Found
from pixvec.index.gpu_sizes import flat_bytes, list_bytes
from pixvec.index.interfaces import Float32Array
from pixvec.index.kinds import faiss_metric
from pixvec.index.library import load_faiss


class MemoryDevice:
    """A Device of `capacity_bytes`. Whatever thread calls it first has to make every call. `is_broken`: it fails."""

    def __init__(self, capacity_bytes: int = 2**30) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.is_broken = False
        self.searches: list[tuple[int, int]] = []
        self._owner: int | None = None

    def free_bytes(self) -> int:
        """See Device."""
        self.check()
        return self.capacity_bytes - self.used_bytes

    def flat(self, rows: Float32Array, metric: Metric, *, half: bool) -> "MemoryIndex":
        """See Device."""
        self._take(size := flat_bytes(*rows.shape, half=half))
        faiss = load_faiss()
        kept = _halved(rows) if half else rows
        index = faiss.IndexFlat(rows.shape[1], faiss_metric(metric))
        index.add(kept)
        return MemoryIndex(self, index, size, half=half)

    def lists(self, ivf: Any) -> "MemoryIndex":
        """See Device."""
        self._take(size := list_bytes(ivf.ntotal, ivf.d, ivf.nlist))
        return MemoryIndex(self, ivf, size, half=False)

    def check(self) -> None:
        """Raises DeviceFailed if it is broken, AssertionError in any thread but the owner's."""
        thread = threading.get_ident()
        self._owner = self._owner or thread
        if thread != self._owner:
            raise AssertionError("a device belongs to one thread")
        if self.is_broken:
            raise DeviceFailed("the device is broken")

    def _take(self, size: int) -> None:
        if size > self.free_bytes():
            raise DeviceFailed(f"{size} bytes asked for, {self.free_bytes()} free")
        self.used_bytes += size


class MemoryIndex:
    """A DeviceIndex over one of FAISS's CPU indexes."""

    def __init__(self, device: MemoryDevice, index: Any, size_bytes: int, *, half: bool) -> None:
        self._device = device
        self._index = index
        self._size_bytes = size_bytes
        self._half = half

    def search(self, queries: Float32Array, k: int, nprobe: int) -> Found:
        """See DeviceIndex."""
        self._device.check()
        if self._index is None:
            raise Declined("unloaded", "the segment was taken off the device")
        if max(k, nprobe) > MAX_SELECTED:
            raise DeviceFailed(f"no more than {MAX_SELECTED} rows or lists are selected: {k} rows, {nprobe} lists")
        self._device.searches.append((len(queries), k))
        parameters = load_faiss().SearchParametersIVF(nprobe=nprobe) if nprobe else None
        asked = _halved(queries) if self._half else queries
        return Found(*self._index.search(asked, k, params=parameters))

    def close(self) -> None:
        """See DeviceIndex."""
        if self._index is not None:
            self._index = None
            self._device.used_bytes -= self._size_bytes


def _halved(rows: Float32Array) -> Float32Array:
    with np.errstate(over="ignore"):
        return rows.astype(np.float16).astype(np.float32)
