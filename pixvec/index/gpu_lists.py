"""Inverted lists of 8-bit codes, which a GPU can scan, of a sealed segment whose own lists it may not be able to."""

from typing import Any

import numpy as np

from pixvec.index.building import CHUNK_ROWS
from pixvec.index.library import load_faiss
from pixvec.index.sealed import SealedSegment
from pixvec.index.segment import RowArray

_TRAINING_ROWS = 65_536
_SEED = 2026


def int8_lists(segment: SealedSegment) -> Any:
    """Return FAISS's IndexIVFScalarQuantizer with the lists of this segment's index: the index itself if it is one,
    else its rows coded anew, which takes a byte a dimension and row."""
    faiss = load_faiss()
    index = segment.index
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        return index
    lists = _empty_like(faiss, index)
    lists.train(segment.take(_sample(segment.row_count)))
    places = _lists_of_rows(faiss, index)
    for begin in range(0, segment.row_count, CHUNK_ROWS):
        rows = np.arange(begin, min(begin + CHUNK_ROWS, segment.row_count))
        vectors, assigned = segment.take(rows), places[rows]
        pointers = (faiss.swig_ptr(vectors), faiss.swig_ptr(rows), faiss.swig_ptr(assigned))
        lists.add_core(len(rows), *pointers)
    return lists


def _empty_like(faiss: Any, index: Any) -> Any:
    centroids = faiss.clone_index(faiss.downcast_index(index.quantizer))
    code = faiss.ScalarQuantizer.QT_8bit
    return faiss.IndexIVFScalarQuantizer(centroids, index.d, index.nlist, code, index.metric_type, False)


def _sample(rows: int) -> RowArray:
    count = min(rows, _TRAINING_ROWS)
    chosen: RowArray = np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))
    return chosen


def _lists_of_rows(faiss: Any, index: Any) -> RowArray:
    """Return the list of each row."""
    places = np.empty(index.ntotal, np.int64)
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            places[faiss.rev_swig_ptr(index.invlists.get_ids(number), size)] = number
    return places
