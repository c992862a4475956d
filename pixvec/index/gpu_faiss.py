"""A GPU through faiss-gpu. A fault of CUDA itself ends the process, as FAISS asserts there is none; want of memory does
not."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixvec.domain import Metric
from pixvec.index.gpu import Declined, DeviceFailed, Found
from pixvec.index.interfaces import Float32Array
from pixvec.index.kinds import faiss_metric
from pixvec.index.library import load_faiss

# Of each device, for intermediate results: a search that needs more allocates it, which takes longer.
_TEMPORARY_BYTES = 256 * 2**20
_CUDA_RUNTIMES = ("libcudart.so.12", "libcudart.so.13")


def gpu_count() -> int:
    """Return how many GPUs FAISS can use here. Loads FAISS."""
    count: int = load_faiss().get_num_gpus()
    return count


class FaissGpu:
    """The Device of this number, from 0."""

    def __init__(self, number: int) -> None:
        faiss = load_faiss()
        self._number = number
        self._cuda = _cuda_runtime()
        with _failures():
            self._resources = faiss.StandardGpuResources()
            self._resources.setTempMemory(_TEMPORARY_BYTES)
            # For queries of more than 256 MB, which do not come.
            self._resources.setPinnedMemory(0)
            self._resources.getResources().initializeForDevice(number)

    def free_bytes(self) -> int:
        """See Device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        code = self._cuda.cudaSetDevice(self._number)
        code = code or self._cuda.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        if code:
            raise DeviceFailed(f"GPU {self._number} does not tell how much memory is free: CUDA's error {code}")
        return free.value

    def flat(self, rows: Float32Array, metric: Metric, *, half: bool) -> "GpuIndex":
        """See Device."""
        faiss = load_faiss()
        config = faiss.GpuIndexFlatConfig()
        config.device = self._number
        config.useFloat16 = half
        with _failures():
            index = faiss.GpuIndexFlat(self._resources, rows.shape[1], faiss_metric(metric), config)
            # In one go: memory for all of them is reserved once, where later ones would be copied together.
            index.add(rows)
        return GpuIndex(index)

    def lists(self, ivf: Any) -> "GpuIndex":
        """See Device."""
        faiss = load_faiss()
        config = faiss.GpuIndexIVFScalarQuantizerConfig()
        config.device = self._number
        config.indicesOptions = faiss.INDICES_32_BIT
        with _failures():
            index = faiss.GpuIndexIVFScalarQuantizer(self._resources, ivf, config)
        # Python's wrapper would keep the original, of which nothing is needed any more.
        index.referenced_objects = []
        return GpuIndex(index)


class GpuIndex:
    """A DeviceIndex on a GPU."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def search(self, queries: Float32Array, k: int, nprobe: int) -> Found:
        """See DeviceIndex."""
        if self._index is None:
            raise Declined("unloaded", "the segment was taken off the device")
        parameters = load_faiss().SearchParametersIVF(nprobe=nprobe) if nprobe else None
        with _failures():
            return Found(*self._index.search(queries, k, params=parameters))

    def close(self) -> None:
        """See DeviceIndex."""
        self._index = None


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise DeviceFailed(str(error)) from error


def _cuda_runtime() -> ctypes.CDLL:
    """Return the library that FAISS has loaded: it tells how much memory is free, FAISS's wrapper does not."""
    for name in _CUDA_RUNTIMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise DeviceFailed(f"none of {', '.join(_CUDA_RUNTIMES)} can be loaded")
