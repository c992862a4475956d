"""One vector of several things that hits are to be like, or unlike."""

from collections.abc import Sequence

import numpy as np

from pixvec.errors import InvalidRequest

# Of the largest weight: what rounding leaves of parts that cancel each other out is less.
_NOTHING = 1e-5


def weighted_sum(vectors: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """Return the sum of vectors, each scaled to length one and then by its weight, itself scaled to length one.

    All are packed little-endian float32 of one dimension, none of zeros. Raises InvalidRequest where nothing is left.
    """
    rows = np.stack([np.frombuffer(vector, "<f4") for vector in vectors]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    total = np.asarray(weights) @ rows
    length = np.linalg.norm(total)
    if length <= _NOTHING * max(map(abs, weights)):
        raise InvalidRequest(
            "the parts cancel each other out, so that nothing is left to search for: give them other weights",
            field="combination.parts",
        )
    return (total / length).astype("<f4").tobytes()
