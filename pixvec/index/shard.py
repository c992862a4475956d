"""A shard: every space of some images, changed by one writer, read by any number of threads without waiting for it."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pixvec.errors import SpaceNotFound
from pixvec.index.growing import BLOCK_BYTES, GrowingRows
from pixvec.index.interfaces import Change, Float32Array, ShardHits, SpaceSpec
from pixvec.index.rows import check_dim, prepare_rows
from pixvec.index.space import SpaceView


@dataclass(frozen=True, slots=True)
class ShardView:
    """A shard at one moment: it never changes, so it can be searched or written to disk at leisure."""

    applied_seq: int
    image_count: int
    spaces: Mapping[str, SpaceView]


class Shard:
    """ShardReader and ShardWriter over FAISS. What a batch changes becomes visible in one assignment, in all spaces."""

    def __init__(self, spaces: Sequence[SpaceSpec], *, block_bytes: int = BLOCK_BYTES) -> None:
        self.spaces = tuple(spaces)
        self._rows = {space.name: GrowingRows(space, block_bytes) for space in spaces}
        # Guards the places of images in `_rows`: held for a batch's bookkeeping, never for a search.
        self._lock = threading.Lock()
        self._image_count = 0
        self._view = self._publish(0)

    @property
    def applied_seq(self) -> int:
        """See ShardReader."""
        return self._view.applied_seq

    @property
    def image_count(self) -> int:
        """See ShardReader."""
        return self._view.image_count

    @property
    def vector_bytes(self) -> int:
        """See ShardReader."""
        return sum(view.row_count * 4 * view.space.dim for view in self._view.spaces.values())

    @property
    def view(self) -> ShardView:
        """The shard as it is now."""
        return self._view

    def search(self, space: str, queries: Float32Array, k: int, min_score: float | None = None) -> list[ShardHits]:
        """See ShardReader."""
        view = self._view.spaces.get(space)
        if view is None:
            raise unknown_space(space, self._rows)
        return view.search(queries, k, min_score)

    def vectors(self, space: str, image_ids: Sequence[str]) -> dict[str, Float32Array]:
        """See ShardReader."""
        if space not in self._rows:
            raise unknown_space(space, self._rows)
        with self._lock:
            places = {image_id: self._rows[space].find(image_id) for image_id in image_ids}
        return {image_id: place[0].take(place[1]) for image_id, place in places.items() if place is not None}

    def apply(self, changes: Sequence[Change], through_seq: int) -> None:
        """See ShardWriter."""
        last = {change.image_id: change for change in changes}
        prepared = {space.name: _prepare(space, last) for space in self.spaces}
        check_spaces(last.values(), prepared)
        with self._lock:
            before = self._count_present(last)
            for name, rows in self._rows.items():
                for image_id in last:
                    rows.remove(image_id)
                rows.put(*prepared[name])
                rows.compact()
            self._image_count += self._count_present(last) - before
            self._view = self._publish(through_seq)

    def restore(self, space: str, image_ids: Sequence[str], rows: Float32Array) -> None:
        """Append prepared rows of images that are not here yet; `finish_restore` makes them visible."""
        self._rows[space].put(image_ids, rows)

    def finish_restore(self, applied_seq: int, image_count: int) -> None:
        """Make restored rows visible."""
        with self._lock:
            self._image_count = image_count
            self._view = self._publish(applied_seq)

    def _publish(self, applied_seq: int) -> ShardView:
        return ShardView(applied_seq, self._image_count, {name: rows.publish() for name, rows in self._rows.items()})

    def _count_present(self, image_ids: Mapping[str, Change]) -> int:
        return sum(any(image_id in rows for rows in self._rows.values()) for image_id in image_ids)


def check_spaces(changes: Iterable[Change], known: Mapping[str, object]) -> None:
    """Raises SpaceNotFound for a vector of a space that the shard does not have."""
    for change in changes:
        for name in change.vectors or ():
            if name not in known:
                raise unknown_space(name, known)


def unknown_space(name: str, known: Mapping[str, object]) -> SpaceNotFound:
    """Return the error for a space that the shard does not have."""
    return SpaceNotFound(f"no space {name!r} here; the collection has {', '.join(sorted(known))}", field="space")


def _prepare(space: SpaceSpec, changes: Mapping[str, Change]) -> tuple[list[str], Float32Array]:
    """Return the changed rows of one space, prepared in one go, with the image of each."""
    image_ids: list[str] = []
    rows: list[Float32Array] = []
    for image_id, change in changes.items():
        found = (change.vectors or {}).get(space.name)
        if found is not None:
            check_dim(found, space)
            rows.append(found)
            image_ids += [image_id] * len(found)
    if not rows:
        return [], np.empty((0, space.dim), np.float32)
    return image_ids, prepare_rows(np.concatenate(rows), space)
