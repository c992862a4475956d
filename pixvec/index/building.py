"""Writes the files of a sealed segment: the stored vectors and ids first, then the index built over them.

    vectors.faiss   the vectors as they are kept: IndexScalarQuantizer of float16, or IndexFlat
    ids.bin         the image of each row: see `id_table`
    index.faiss     the index over the same rows, none for FLAT

The second part needs nothing but the first's files, so that it can run in a process of its own.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pixvec.domain import IndexKind, IndexSettings, Metric, VectorStorage
from pixvec.index.durable import FileSeal, seal_file, write_sealed
from pixvec.index.id_table import pack_ids
from pixvec.index.interfaces import Float32Array, SpaceSpec
from pixvec.index.kinds import EF_CONSTRUCTION, factory, faiss_metric, training_rows
from pixvec.index.library import load_faiss
from pixvec.index.rows import fits_half

VECTORS, IDS, INDEX = "vectors.faiss", "ids.bin", "index.faiss"
# Rows in float32 at a time, while a segment is written and while its index is built: what memory a build takes beside
# them.
CHUNK_ROWS = 16_384
_SEED = 2026


def write_rows(
    folder: Path, space: SpaceSpec, chunks: Callable[[], Iterable[tuple[list[str], Float32Array]]]
) -> tuple[FileSeal, ...]:
    """Write the rows of a segment into an empty folder and return the files' seals. Raises OSError.

    Rows are (n, dim) float32 as the space compares them, with an image id each; those of one image are neighbours.
    They are read twice. Takes the memory of the ids, of the vectors as they are stored, whole as FAISS writes them, and
    of one chunk.
    """
    faiss = load_faiss()
    image_ids: list[str] = []
    half = space.index.storage is VectorStorage.FLOAT16
    for ids, rows in chunks():
        image_ids += ids
        half = half and bool(fits_half(rows).all())
    stored = _stored_index(faiss, space, len(image_ids), half=half)
    for _, rows in chunks():
        stored.add(rows)
    vectors = folder / VECTORS
    _write_index(faiss, stored, vectors)
    return seal_file(vectors), write_sealed(folder, IDS, pack_ids(image_ids))


def write_index(folder: Path, kind: IndexKind, metric: Metric, settings: IndexSettings, *, threads: int) -> FileSeal:
    """Build the index over the rows in this folder and return its file's seal. Raises OSError.

    Takes the index's own memory, and that of its training vectors.
    """
    faiss = load_faiss()
    faiss.omp_set_num_threads(threads)
    stored = _read_index(faiss, folder / VECTORS)
    index = faiss.index_factory(stored.d, factory(kind, stored.d, stored.ntotal, settings), faiss_metric(metric))
    _prepare(faiss, index, kind, metric, settings)
    index.train(_sample(stored, training_rows(kind, stored.ntotal, settings)))
    _add_rows(faiss, index, stored, is_graph=kind is IndexKind.HNSW)
    path = folder / INDEX
    _write_index(faiss, index, path)
    return seal_file(path)


def _stored_index(faiss: Any, space: SpaceSpec, rows: int, *, half: bool) -> Any:
    """Return an empty index with room for so many rows: one that grows takes three times the memory for a moment."""
    metric = faiss_metric(space.metric)
    if half:
        index = faiss.IndexScalarQuantizer(space.dim, faiss.ScalarQuantizer.QT_fp16, metric)
        # It learns nothing from them, but wants to be asked.
        index.train(np.zeros((1, space.dim), np.float32))
    else:
        index = faiss.IndexFlat(space.dim, metric)
    index.codes.resize(rows * index.code_size)
    index.codes.resize(0)
    return index


def _prepare(faiss: Any, index: Any, kind: IndexKind, metric: Metric, settings: IndexSettings) -> None:
    if kind is IndexKind.HNSW:
        index.hnsw.efConstruction = settings.ef_construction or EF_CONSTRUCTION
        index.hnsw.rng = faiss.RandomGenerator(_SEED)
    elif hasattr(index, "cp"):
        index.cp.seed = _SEED
        # Centroids of length one are far from vectors of any length: residuals would hold next to nothing.
        index.cp.spherical = metric is Metric.COSINE
        # One thread that trains on all is enough for what a shard holds; more iterations gain no recall.
        index.cp.niter = 10


def _sample(stored: Any, count: int) -> Float32Array:
    rows = np.random.default_rng(_SEED).choice(stored.ntotal, count, replace=False)
    sample: Float32Array = stored.reconstruct_batch(np.sort(rows))
    return sample


def _add_rows(faiss: Any, index: Any, stored: Any, *, is_graph: bool) -> None:
    """Add the stored rows. In a graph equal rows, of blank pictures say, would link to each other alone and cut others
    off: all but the first are moved a step of their codes. Scores are those of the stored rows in any case."""
    random = np.random.default_rng(_SEED)
    repeated = _repeated(stored) if is_graph else None
    for begin in range(0, stored.ntotal, CHUNK_ROWS):
        rows: Float32Array = stored.reconstruct_n(begin, min(CHUNK_ROWS, stored.ntotal - begin))
        if repeated is not None:
            places = np.flatnonzero(repeated[begin : begin + len(rows)])
            steps = faiss.vector_to_array(faiss.downcast_index(index.storage).sq.trained)[stored.d :] / 255
            rows[places] += steps * random.integers(-1, 2, size=(len(places), stored.d))
        index.add(rows)


def _repeated(stored: Any) -> npt.NDArray[np.bool_]:
    """Return which rows equal an earlier one."""
    hashes = np.empty(stored.ntotal, np.uint64)
    for begin in range(0, stored.ntotal, CHUNK_ROWS):
        rows = stored.reconstruct_n(begin, min(CHUNK_ROWS, stored.ntotal - begin))
        hashes[begin : begin + len(rows)] = [xxhash.xxh64_intdigest(row) for row in rows]
    repeated = np.ones(stored.ntotal, np.bool_)
    repeated[np.unique(hashes, return_index=True)[1]] = False
    return repeated


def _read_index(faiss: Any, path: Path) -> Any:
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        # Short: FAISS does not notice a disk that fills up at the very end of a file.
        raise OSError(f"{path.name} cannot be read: {error}") from error


def _write_index(faiss: Any, index: Any, path: Path) -> None:
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        # FAISS tells of a full disk in its own way.
        raise OSError(f"{path.name} cannot be written: {error}") from error
