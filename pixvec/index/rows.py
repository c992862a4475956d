"""Rows of vectors: what may be stored or searched for, and the exact score of one against another."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pixvec.domain import Metric, VectorStorage
from pixvec.errors import InvalidVector
from pixvec.index.interfaces import Float32Array, SpaceSpec

# Squares of longer ones, summed up, leave float32.
MAX_LENGTH = 1e18
# Of rows that are scored at once: 64 MiB, and twice that in float64.
_MAX_NUMBERS = 2**24


def prepare_rows(rows: npt.NDArray[np.floating], space: SpaceSpec) -> Float32Array:
    """Return rows as a space compares them, (n, dim) float32 in C order; for cosine, L2-normalised.

    Raises InvalidVector for a wrong dimension, a value that is not finite, a vector too long to compare, or one of
    length zero where the metric is cosine.
    """
    check_dim(rows, space)
    prepared = np.ascontiguousarray(rows, dtype=np.float32)
    lengths = row_lengths(prepared)
    _check_lengths(lengths, space)
    if space.metric is Metric.COSINE:
        return (prepared / lengths[:, None]).astype(np.float32)
    return prepared


def stored_rows(rows: npt.NDArray[np.floating], space: SpaceSpec) -> Float32Array:
    """Return rows as `prepare_rows` does, rounded to what the space's storage keeps of them: so a vector scores the
    same before and after its segment is sealed. Raises InvalidVector."""
    prepared = prepare_rows(rows, space)
    if space.index.storage is VectorStorage.FLOAT32:
        return prepared
    halves = fits_half(prepared)
    if not halves.all():
        return np.where(halves[:, None], _rounded(np.where(halves[:, None], prepared, 0)), prepared)
    return _rounded(prepared)


def fits_half(rows: Float32Array) -> npt.NDArray[np.bool_]:
    """Return for each row whether float16 keeps its direction: no number beyond its range, nor all in the part below
    its smallest normal number, where digits are lost."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    limits = np.finfo(np.float16)
    fits: npt.NDArray[np.bool_] = (largest == 0) | ((largest <= limits.max) & (largest >= 16 * limits.smallest_normal))
    return fits


def row_lengths(rows: Float32Array) -> npt.NDArray[np.float64]:
    """Return the Euclidean length of each row."""
    lengths: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return lengths


def in_slices(shape: tuple[int, ...], dim: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of (queries, width) candidates, some at a time, so that their rows of `dim` numbers take little
    memory beside the index."""
    queries, width = shape
    across = max(1, min(width, _MAX_NUMBERS // dim))
    down = max(1, _MAX_NUMBERS // (across * dim))
    for top in range(0, queries, down):
        for left in range(0, width, across):
            yield slice(top, top + down), slice(left, left + across)


def exact_scores(metric: Metric, query: Float32Array, rows: Float32Array) -> Float32Array:
    """Return the score of each prepared row, (n, dim), for one prepared query, (dim,). See `pair_scores`."""
    scores: Float32Array = pair_scores(metric, query[None], rows[None])[0]
    return scores


def pair_scores(metric: Metric, queries: Float32Array, rows: Float32Array) -> Float32Array:
    """Return the score, larger is better, of each prepared query, (n, dim), for prepared rows of its own,
    (n, width, dim).

    Summed up in float64, so that a pair has the same score whatever else it was computed with: matrix products differ
    in the last digits with the shape of the matrix, and cancel for Euclidean distances.
    """
    # Cast first: einsum would cast a buffer at a time, and sum up in parts that depend on the shapes.
    if metric is Metric.EUCLIDEAN:
        apart = (rows - queries[:, None]).astype(np.float64)
        distances: Float32Array = np.sqrt(np.einsum("qkd,qkd->qk", apart, apart)).astype(np.float32)
        return np.negative(distances, out=distances)
    scores = np.einsum("qkd,qd->qk", rows.astype(np.float64), queries.astype(np.float64))
    if metric is Metric.COSINE:
        scores = np.minimum(np.maximum(scores, -1.0), 1.0)
    result: Float32Array = scores.astype(np.float32)
    return result


def check_dim(rows: npt.NDArray[np.floating], space: SpaceSpec) -> None:
    """Raises InvalidVector unless rows are (n, dim)."""
    if rows.ndim != 2 or rows.shape[1] != space.dim:
        given = rows.shape[1] if rows.ndim == 2 else f"shape {rows.shape}"
        raise InvalidVector(
            f"space {space.name!r} has {space.dim} dimensions, the vector has {given}; "
            "send a vector made by the model of this space",
            field="vector",
        )


def _check_lengths(lengths: npt.NDArray[np.float64], space: SpaceSpec) -> None:
    # A value that is not finite shows in the length; so does one too large, without overflow in float64.
    if not np.isfinite(lengths).all():
        raise InvalidVector("a vector holds NaN or infinity; send finite numbers only", field="vector")
    if lengths.size and lengths.max() > MAX_LENGTH:
        raise InvalidVector(f"a vector is longer than {MAX_LENGTH:.0e}; scale it down", field="vector")
    if space.metric is Metric.COSINE and not lengths.all():
        raise InvalidVector(
            f"a vector is of length zero, which has no direction for the cosine metric of space {space.name!r}",
            field="vector",
        )


def _rounded(rows: Float32Array) -> Float32Array:
    return rows.astype(np.float16).astype(np.float32)
