"""Vectors of length one, of whatever there is."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pixvec.vision.extractor import Vectors


def unit_rows(values: npt.NDArray[Any]) -> Vectors:
    """Return (n, dim) float32, L2-normalised. A row of zeros, of a picture that shows nothing, becomes one of equal
    components: pictures without anything are then alike, and have a place in an index."""
    rows = np.asarray(values, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.full_like(rows, rows.shape[1] ** -0.5), where=lengths > 0)
    vectors: Vectors = unit.astype(np.float32)
    return vectors
