"""A sealed segment: immutable files mapped into memory, searched by an index and compared by the stored vectors."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions
from pixvec.index.building import IDS, INDEX, VECTORS
from pixvec.index.dead_rows import BoolArray
from pixvec.index.durable import Damaged, FileSeal, check_sealed
from pixvec.index.id_table import IdTable
from pixvec.index.interfaces import Float32Array, SpaceSpec
from pixvec.index.kinds import Effort, effort, is_exact
from pixvec.index.library import load_faiss
from pixvec.index.segment import Candidates, RowArray

if TYPE_CHECKING:
    from pixvec.index.gpu import SegmentSearch

# Of fewer live rows than this share a graph's paths and lists hold too few, and comparing them all takes little time.
_LEAST_LIVE_SHARE = 0.125


@dataclass(frozen=True, slots=True)
class SegmentSeal:
    """What a sealed segment is, and what its files have to be. `name` is that of its folder, never used twice;
    `settings` are those that it was built by."""

    name: str
    space: str
    kind: IndexKind
    rows: int
    files: tuple[FileSeal, ...]
    settings: IndexSettings

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


class SealedSegment:
    """Rows of one space that never change; which of them are dead is for its holder to know. Any thread may search."""

    def __init__(self, folder: Path, seal: SegmentSeal, space: SpaceSpec) -> None:
        self.seal = seal
        self.space = space
        self.folder = folder
        self.ids = IdTable(folder / IDS)
        faiss = load_faiss()
        self._stored = faiss.read_index(str(folder / VECTORS), faiss.IO_FLAG_MMAP_IFC)
        self._vectors = _mapped_vectors(faiss, self._stored)
        self._exact = _exact_index(faiss, self._stored)
        self._base = None if is_exact(seal.kind) else faiss.read_index(str(folder / INDEX), faiss.IO_FLAG_MMAP_IFC)
        self._refined = self._exact if self._base is None else faiss.IndexRefine(self._base, self._stored)
        # What a device holds of it, for those searches that a device does better.
        self.gpu: SegmentSearch | None = None

    @property
    def row_count(self) -> int:
        """Rows, the dead ones included."""
        return self.seal.rows

    def search(
        self, queries: Float32Array, fetch: int, options: SearchOptions, live: "LiveRows | None" = None
    ) -> Candidates:
        """Return the best `fetch` rows for each prepared query, (n, dim) float32, scored by their stored vectors as
        FAISS sums up: the last digits are not those of `pair_scores`."""
        gpu = self.gpu
        if gpu is not None:
            return gpu.search(queries, fetch, options, live)
        return self.search_mapped(queries, fetch, options, live)

    def search_mapped(
        self, queries: Float32Array, fetch: int, options: SearchOptions, live: "LiveRows | None" = None
    ) -> Candidates:
        """Search with the CPU alone. See `search`."""
        # For its limit on threads, which is each calling thread's own.
        load_faiss()
        k = min(fetch, self.row_count)
        seal = self.seal
        live_share = 1.0 if live is None else live.count / seal.rows
        if options.exact or self._base is None or live_share < _LEAST_LIVE_SHARE:
            return self._search_all(queries, k, live)
        hard = _effort(seal.kind, k, seal.rows, seal.settings, options, live_share)
        selector = None if live is None else live.selector
        if hard.rescore < 1.0:
            found = self._search(self._base, queries, k, _base_parameters(seal.kind, hard, selector))
            found = self._rescored(queries, found)
        else:
            parameters = _refined_parameters if selector is None else _refined_parameters.__wrapped__
            found = self._search(self._refined, queries, k, parameters(seal.kind, hard, selector))
        return self._completed(found, queries, k, live)

    @property
    def index(self) -> Any:
        """FAISS's index as it is mapped, None for FLAT: not to be changed."""
        return self._base

    @property
    def is_half(self) -> bool:
        """Whether the vectors are stored as float16."""
        return isinstance(self._stored, load_faiss().IndexScalarQuantizer)

    def scores(self, query: Float32Array, rows: RowArray) -> Float32Array:
        """Return the score of each of these rows for one prepared query, (dim,), to the bit as `search` does."""
        computer = self._stored.get_distance_computer()
        computer.set_query(load_faiss().swig_ptr(query))
        found = np.fromiter(map(computer, rows.tolist()), np.float32, len(rows))
        scores: Float32Array = self._scores(found[None], rows[None])[0]
        return scores

    def take(self, rows: RowArray) -> Float32Array:
        """Return these rows, (len(rows), dim) float32, as they are stored."""
        # Numpy takes and widens them in less time than FAISS is called in.
        taken: Float32Array = self._vectors[rows].astype(np.float32, copy=False)
        return taken

    def find(self, image_ids: Sequence[str]) -> list[range]:
        """Return the rows of each image, an empty range for one that is not here."""
        return self.ids.find(image_ids)

    def _search_all(self, queries: Float32Array, k: int, live: "LiveRows | None") -> Candidates:
        return self._search(self._exact, queries, k, _exact_parameters(self._exact, live))

    def _completed(self, found: Candidates, queries: Float32Array, k: int, live: "LiveRows | None") -> Candidates:
        """Compare everything for those queries whose lists or paths held less than was asked for and is there."""
        there = min(k, self.row_count if live is None else live.count)
        short = np.flatnonzero(found.rows[:, there - 1] < 0)
        if len(short):
            found.nearness[short], found.rows[short] = self._search_all(queries[short], k, live)
        return found

    def _search(self, index: Any, queries: Float32Array, k: int, parameters: Any) -> Candidates:
        found, rows = index.search(queries, k, params=parameters)
        return Candidates(self._scores(found, rows), rows)

    def _scores(self, found: Float32Array, rows: RowArray) -> Float32Array:
        if self.space.metric is Metric.EUCLIDEAN:
            np.maximum(found, 0, out=found)
            np.sqrt(found, out=found)
            np.negative(found, out=found)
        elif self.space.metric is Metric.COSINE:
            np.minimum(found, 1.0, out=found)
            np.maximum(found, -1.0, out=found)
        # What FAISS did not find comes last.
        if rows.shape[1] and (rows[:, -1] < 0).any():
            found[rows < 0] = -np.inf
        return found

    def _rescored(self, queries: Float32Array, found: Candidates) -> Candidates:
        """Report exact scores in the order of the codes: what `rescore` off means is no second look beyond k."""
        scores = np.full(found.nearness.shape, -np.inf, np.float32)
        for place, (query, rows) in enumerate(zip(queries, found.rows, strict=True)):
            there = rows >= 0
            scores[place, there] = self.scores(query, rows[there])
        return Candidates(scores, found.rows)


class LiveRows:
    """The rows of a segment that are not dead, as FAISS asks for them: `count` of them."""

    def __init__(self, dead: BoolArray, count: int) -> None:
        self.dead = dead
        self.count = count
        faiss = load_faiss()
        self.selector = faiss.IDSelectorBitmap(np.packbits(~dead, bitorder="little"))


def open_sealed(folder: Path, seal: SegmentSeal, space: SpaceSpec) -> SealedSegment:
    """Map a segment whose every byte is what was written. Raises Damaged before FAISS reads one that is not."""
    for file in seal.files:
        check_sealed(folder, file)
    try:
        return SealedSegment(folder, seal, space)
    except (OSError, RuntimeError, ValueError) as error:
        # FAISS leaves a file short without a word when the disk fills up at its very end.
        raise Damaged("unreadable", f"the files of {folder.name} cannot be mapped: {error}") from error


def _mapped_vectors(faiss: Any, stored: Any) -> npt.NDArray[np.floating]:
    """Return the stored vectors, (rows, dim), where they are mapped: good for as long as the index is."""
    kept = np.float16 if isinstance(stored, faiss.IndexScalarQuantizer) else np.float32
    content = faiss.rev_swig_ptr(stored.codes.data(), stored.codes.size())
    mapped: npt.NDArray[np.floating] = content.view(kept).reshape(stored.ntotal, stored.d)
    return mapped


def _exact_index(faiss: Any, stored: Any) -> Any:
    """Return what compares every row pair by pair. IndexFlat multiplies matrices for many queries at once, which
    cancels digits and depends on the batch: its best are compared again."""
    return stored if isinstance(stored, faiss.IndexScalarQuantizer) else faiss.IndexRefine(stored, stored)


def _exact_parameters(index: Any, live: LiveRows | None) -> Any:
    faiss = load_faiss()
    plain = None if live is None else faiss.SearchParameters(sel=live.selector)
    if isinstance(index, faiss.IndexRefine):
        return faiss.IndexRefineSearchParameters(k_factor=2.0, base_index_params=plain)
    return plain


# Asked for with every search: worked out once for each way of searching.
_effort = functools.lru_cache(maxsize=1024)(effort)


@functools.lru_cache(maxsize=256)
def _refined_parameters(kind: IndexKind, hard: Effort, selector: Any) -> Any:
    base = _base_parameters(kind, hard, selector)
    return load_faiss().IndexRefineSearchParameters(k_factor=hard.rescore, base_index_params=base)


def _base_parameters(kind: IndexKind, hard: Effort, selector: Any) -> Any:
    faiss = load_faiss()
    if kind is IndexKind.HNSW:
        return faiss.SearchParametersHNSW(efSearch=hard.ef, sel=selector)
    if kind in (IndexKind.FLAT_INT8, IndexKind.FLAT_BINARY):
        return None if selector is None else faiss.SearchParameters(sel=selector)
    return faiss.SearchParametersIVF(nprobe=hard.nprobe, sel=selector)
