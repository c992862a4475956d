"""One space of a shard as a search sees it: growing and sealed segments at one moment, one list of hits."""

from dataclasses import dataclass

from pixvec.domain import SearchOptions
from pixvec.index.growing_search import GrowingView
from pixvec.index.interfaces import Float32Array, ShardHits, SpaceSpec
from pixvec.index.merge import above, merge_hits
from pixvec.index.rows import prepare_rows
from pixvec.index.sealed_search import SealedView, search_sealed


@dataclass(frozen=True, slots=True)
class SpaceView:
    """The rows of a space at one moment; no image has rows in two segments."""

    space: SpaceSpec
    growing: GrowingView
    sealed: tuple[SealedView, ...] = ()

    @property
    def row_count(self) -> int:
        """Rows, the dead ones included."""
        return self.growing.row_count + sum(view.row_count for view in self.sealed)

    @property
    def live_count(self) -> int:
        """Rows a search can find."""
        return self.growing.live_count + sum(view.row_count - view.dead_count for view in self.sealed)

    @property
    def growing_bytes(self) -> int:
        """Memory of rows that no build has sealed yet: pages of blocks that no row has touched cost nothing."""
        return 4 * self.space.dim * self.growing.row_count

    @property
    def size_bytes(self) -> int:
        """Bytes of vectors and indexes, in memory or mapped into it."""
        return self.growing_bytes + sum(view.segment.seal.size_bytes for view in self.sealed)

    def search(self, queries: Float32Array, k: int, min_score: float | None, options: SearchOptions) -> list[ShardHits]:
        """Return the best k images for each query, (n, dim) float32. Raises InvalidVector."""
        prepared = prepare_rows(queries, self.space)
        if not self.sealed:
            return [above(hits, min_score) for hits in self.growing.search(prepared, k)]
        hits = search_sealed(self.sealed, prepared, k, options)
        if self.growing.live_count:
            new = self.growing.search(prepared, k)
            hits = [merge_hits(pair, k) for pair in zip(hits, new, strict=True)]
        return [above(each, min_score) for each in hits]
