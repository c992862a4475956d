"""What the index asks of a GPU: little, so that nearly all of what goes around it is tested without one.

FAISS's GPU indexes are not safe for several threads, even to read: the one thread that owns a device makes every call
here. `gpu_faiss` is the real one, `gpu_memory` its twin.
"""

from typing import Any, NamedTuple, Protocol

from pixvec.domain import Metric, SearchOptions
from pixvec.index.interfaces import Float32Array
from pixvec.index.segment import Candidates, RowArray

# FAISS selects no more rows at once on a GPU, and no more lists.
MAX_SELECTED = 2048


class DeviceFailed(Exception):
    """A device did not do what it was asked to; for want of memory, as a rule."""


class Declined(Exception):
    """A search that another has to do. `cause` is one word for a metric."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Found(NamedTuple):
    """The best rows for each query, (n, k) each, best first. `distances` are inner products or squared Euclidean
    distances, by the arithmetic of the device; a row of -1 is none."""

    distances: Float32Array
    rows: RowArray


class DeviceIndex(Protocol):
    """Rows in a device's memory."""

    def search(self, queries: Float32Array, k: int, nprobe: int) -> Found:
        """Return the best k rows, at most MAX_SELECTED; those in the `nprobe` best lists, where there are lists. Raises
        DeviceFailed, and Declined once it is closed."""

    def close(self) -> None:
        """Give the memory back."""


class Device(Protocol):
    """One GPU."""

    def free_bytes(self) -> int:
        """Return how much memory nobody has taken. Raises DeviceFailed."""

    def flat(self, rows: Float32Array, metric: Metric, *, half: bool) -> DeviceIndex:
        """Copy rows, (n, dim) float32, to be compared one by one; `half`: as float16, and so are queries then. Raises
        DeviceFailed."""

    def lists(self, ivf: Any) -> DeviceIndex:
        """Copy FAISS's IndexIVFScalarQuantizer of 8-bit codes. Raises DeviceFailed."""


class SegmentSearch(Protocol):
    """What searches a sealed segment in its place."""

    def search(self, queries: Float32Array, fetch: int, options: SearchOptions, live: Any) -> Candidates:
        """See SealedSegment."""
