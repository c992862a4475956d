"""Writing the rows of a segment takes no more memory than it says."""

import weakref
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from pixvec.domain import IndexKind, Metric, VectorStorage
from pixvec.index.building import VECTORS, write_rows
from tests.unit.index.segments import clustered, spec

DIM = 16


class Chunks:
    """Rows to be written, ten at a time; `most_held` is how many of the chunks were alive at once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.most_held = 0

    def __call__(self) -> Iterator[tuple[list[str], np.ndarray]]:
        given: list[weakref.ref[np.ndarray]] = []
        for begin in range(0, len(self.rows), 10):
            chunk = self.rows[begin : begin + 10].copy()
            given.append(weakref.ref(chunk))
            self.most_held = max(self.most_held, sum(each() is not None for each in given))
            yield [f"image-{begin + place}" for place in range(10)], chunk


@pytest.mark.parametrize("storage", list(VectorStorage))
@pytest.mark.parametrize("scale", [1.0, 1e16], ids=["short", "beyond float16"])
def test_a_chunk_is_let_go_before_the_next_but_one(tmp_path: Path, storage: VectorStorage, scale: float) -> None:
    rows = clustered(100, DIM)
    rows[-1] *= np.float32(scale)
    chunks = Chunks(rows)
    write_rows(tmp_path, spec(IndexKind.FLAT, Metric.INNER_PRODUCT, storage), chunks)
    assert chunks.most_held <= 2
    stored = faiss.read_index(str(tmp_path / VECTORS))
    is_half = storage is VectorStorage.FLOAT16 and scale == 1.0
    assert isinstance(stored, faiss.IndexScalarQuantizer) is is_half
    expected = rows.astype(np.float16).astype(np.float32) if is_half else rows
    assert np.array_equal(stored.reconstruct_n(0, 100), expected)
