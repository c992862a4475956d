"""The in-memory twin of the shard: no FAISS, no segments, every score computed from scratch."""

from collections.abc import Mapping, Sequence

import numpy as np

from pixvec.domain import SearchOptions
from pixvec.index.interfaces import DEFAULT_OPTIONS, Change, Float32Array, ImageScores, ShardHits, SpaceSpec
from pixvec.index.merge import best_images, row_ordinals
from pixvec.index.rows import exact_scores, prepare_rows, stored_rows
from pixvec.index.scoring import score_images
from pixvec.index.shard import check_spaces, unknown_space


class NumpyShard:
    """ShardReader and ShardWriter over dictionaries, replaced as a whole by every batch."""

    def __init__(self, spaces: Sequence[SpaceSpec]) -> None:
        self.spaces = tuple(spaces)
        self._by_name = {space.name: space for space in spaces}
        self._state: tuple[int, dict[str, dict[str, Float32Array]]] = (0, {space.name: {} for space in spaces})

    @property
    def applied_seq(self) -> int:
        """See ShardReader."""
        return self._state[0]

    @property
    def image_count(self) -> int:
        """See ShardReader."""
        return len({image_id for rows in self._state[1].values() for image_id in rows})

    @property
    def vector_bytes(self) -> int:
        """See ShardReader."""
        return sum(rows.nbytes for by_image in self._state[1].values() for rows in by_image.values())

    def search(
        self,
        space: str,
        queries: Float32Array,
        k: int,
        min_score: float | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,  # noqa: ARG002 - every search here is exact
    ) -> list[ShardHits]:
        """See ShardReader."""
        by_image = self._rows(space)
        prepared = prepare_rows(queries, self._by_name[space])
        ids = [image_id for image_id, rows in by_image.items() for _ in range(len(rows))]
        stored = np.concatenate([np.empty((0, prepared.shape[1]), np.float32), *by_image.values()])
        return [self._best(space, query, ids, stored, k, min_score) for query in prepared]

    def vectors(self, space: str, image_ids: Sequence[str]) -> dict[str, Float32Array]:
        """See ShardReader."""
        by_image = self._rows(space)
        return {image_id: by_image[image_id] for image_id in image_ids if image_id in by_image}

    def scores(self, space: str, queries: Float32Array, image_ids: Sequence[str]) -> dict[str, ImageScores]:
        """See ShardReader."""
        return score_images(self._space(space), queries, self.vectors(space, image_ids))

    def apply(self, changes: Sequence[Change], through_seq: int) -> None:
        """See ShardWriter."""
        last = {change.image_id: change for change in changes}
        check_spaces(last.values(), self._by_name)
        prepared = {space.name: _prepare(space, last) for space in self.spaces}
        self._state = (
            through_seq,
            {
                name: {image_id: rows for image_id, rows in by_image.items() if image_id not in last} | prepared[name]
                for name, by_image in self._state[1].items()
            },
        )

    def _space(self, name: str) -> SpaceSpec:
        if name not in self._by_name:
            raise unknown_space(name, self._by_name)
        return self._by_name[name]

    def _rows(self, space: str) -> dict[str, Float32Array]:
        return self._state[1][self._space(space).name]

    def _best(
        self, space: str, query: Float32Array, ids: list[str], stored: Float32Array, k: int, min_score: float | None
    ) -> ShardHits:
        scores = exact_scores(self._by_name[space].metric, query, stored)
        good = np.ones(len(ids), np.bool_) if min_score is None else scores >= np.float32(min_score)
        kept = np.flatnonzero(good)
        ordinals = row_ordinals(ids)
        which = None if ordinals is None else ordinals[kept].tolist()
        return best_images([ids[row] for row in kept.tolist()], scores[kept].tolist(), k, which)


def _prepare(space: SpaceSpec, changes: Mapping[str, Change]) -> dict[str, Float32Array]:
    """Return the prepared rows of one space by image."""
    given = {image_id: (change.vectors or {}).get(space.name) for image_id, change in changes.items()}
    prepared = {image_id: stored_rows(rows, space) for image_id, rows in given.items() if rows is not None}
    return {image_id: rows for image_id, rows in prepared.items() if len(rows)}
