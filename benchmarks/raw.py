"""FAISS alone, on the index that the product built."""

from typing import Any

from benchmarks.load import Load, drive_threads
from benchmarks.serving import Serving
from benchmarks.vectors import Float32Array, K, in_parts
from pixvec.domain import SearchOptions
from pixvec.index.building import INDEX, VECTORS
from pixvec.index.kinds import effort
from pixvec.index.library import load_faiss


class RawIndex:
    """FAISS alone: the files of the searcher's one segment, read into this process and searched as it searches."""

    def __init__(self, serving: Serving) -> None:
        faiss = load_faiss()
        segments = serving.segments()
        if len(segments) != 1:
            raise SystemExit(f"The run is void: {len(segments)} segments instead of one.")
        (segment,) = segments
        folder = serving.shard_folder / segment.name
        self._stored = faiss.read_index(str(folder / VECTORS))
        self._graph = faiss.read_index(str(folder / INDEX))
        self._index = faiss.IndexRefine(self._graph, self._stored)
        hard = effort(segment.kind, K, segment.rows, segment.settings, SearchOptions())
        self._parameters = faiss.IndexRefineSearchParameters(
            k_factor=hard.rescore, base_index_params=faiss.SearchParametersHNSW(efSearch=hard.ef)
        )
        self.what = f"{segment.kind}, ef {hard.ef}, {hard.rescore:g} k compared again"

    def search(self, queries: Float32Array) -> Any:
        """Return the rows found, (n, K). Each thread searches with itself alone."""
        load_faiss()
        return self._index.search(queries, K, params=self._parameters)[1]

    def drive(self, queries: Float32Array, rows_a_call: int, threads: int, seconds: float) -> Load:
        """Search for some seconds, so many rows a call."""
        parts = in_parts(queries, rows_a_call)
        return drive_threads(lambda number: self.search(parts[number % len(parts)]), threads, seconds)
