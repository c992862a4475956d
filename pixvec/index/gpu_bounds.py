"""How far a device's arithmetic can be off, and how many rows to ask it for: its answer is proved, or refused."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pixvec.domain import Metric
from pixvec.index.gpu import MAX_SELECTED
from pixvec.index.interfaces import Float32Array
from pixvec.index.rows import row_lengths

Float64Array = npt.NDArray[np.float64]

# A float32 sum of n products is off by n times 2**-24 of their lengths at most, by twice that where each step is cut
# off rather than rounded, as tensor cores do, however they are grouped; as much again is for the scores compared with.
_A_STEP = 2.0**-22
# What dead rows take of a device's answer is not known beforehand: so much more is asked for than their share.
_SPARE_FOR_DEAD = 1.25


def fetches(wanted: int, spare: int, rows: int, live: int) -> Iterator[int]:
    """Return how many rows to ask for, one try after the other, to get `wanted` live ones, or all, and some to spare;
    nothing where a device selects too few."""
    wanted, limit = min(wanted, live), min(rows, MAX_SELECTED)
    least = wanted if live == rows else math.ceil(_SPARE_FOR_DEAD * wanted * rows / live)
    if wanted * rows > limit * live:
        return
    fetch = min(limit, least + spare)
    while fetch < limit:
        yield fetch
        fetch *= 4
    yield limit


def lost_lengths(queries: Float32Array, *, half: bool) -> Float64Array:
    """Return how far each query moves when a device rounds it, to float16 where `half`; infinity beyond its range."""
    if not half:
        return np.zeros(len(queries))
    with np.errstate(over="ignore"):
        return row_lengths(queries - queries.astype(np.float16).astype(np.float32))


def unseen_ceilings(
    metric: Metric, queries: Float32Array, last: Float32Array, lost: Float64Array, longest: float
) -> Float64Array:
    """Return for each query the best score that a row can have which the device did not return.

    `last`: the distance of the last row returned, by the device; `lost`: see `lost_lengths`; `longest`: the length of
    the longest row.
    """
    lengths = row_lengths(queries)
    slack = _A_STEP * queries.shape[1]
    if metric is Metric.EUCLIDEAN:
        nearest = np.sqrt(np.maximum(0.0, last - slack * (lengths + longest) ** 2)) - lost
        ceilings: Float64Array = -np.maximum(0.0, nearest)
    else:
        ceilings = last + lost * longest + slack * lengths * longest
    return ceilings
