"""A shard: every space of some images, changed by one writer, read by any number of threads without waiting for it."""

import dataclasses
import secrets
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pixvec.domain import SearchOptions
from pixvec.errors import SpaceNotFound
from pixvec.index.dead_rows import BoolArray
from pixvec.index.growing import BLOCK_BYTES
from pixvec.index.interfaces import DEFAULT_OPTIONS, Change, Float32Array, ImageScores, ShardHits, SpaceSpec
from pixvec.index.kinds import choose_kind
from pixvec.index.plan import BuildPolicy, next_build
from pixvec.index.rows import check_dim, stored_rows
from pixvec.index.scoring import score_images
from pixvec.index.sealed import SealedSegment
from pixvec.index.space import SpaceView
from pixvec.index.space_rows import Build, SpaceRows


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
        self._rows = {space.name: SpaceRows(space, block_bytes) for space in spaces}
        # Guards the places of images in `_rows`: held for a batch's bookkeeping, never for a search.
        self._lock = threading.Lock()
        self._image_count = 0
        self._building: set[str] = set()
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
        return sum(view.size_bytes for view in self._view.spaces.values())

    @property
    def view(self) -> ShardView:
        """The shard as it is now."""
        return self._view

    @property
    def growing_bytes(self) -> int:
        """Memory of rows that no build has sealed yet."""
        return sum(view.growing_bytes for view in self._view.spaces.values())

    @property
    def segment_names(self) -> set[str]:
        """The folders of sealed segments in use, and of those being built."""
        with self._lock:
            return set().union(*(rows.names for rows in self._rows.values()), self._building)

    def search(
        self,
        space: str,
        queries: Float32Array,
        k: int,
        min_score: float | None = None,
        options: SearchOptions = DEFAULT_OPTIONS,
    ) -> list[ShardHits]:
        """See ShardReader."""
        view = self._view.spaces.get(space)
        if view is None:
            raise unknown_space(space, self._rows)
        return view.search(queries, k, min_score, options)

    def vectors(self, space: str, image_ids: Sequence[str]) -> dict[str, Float32Array]:
        """See ShardReader."""
        if space not in self._rows:
            raise unknown_space(space, self._rows)
        with self._lock:
            places = {image_id: self._rows[space].find(image_id) for image_id in image_ids}
        return {image_id: place[0].take(place[1]) for image_id, place in places.items() if place is not None}

    def scores(self, space: str, queries: Float32Array, image_ids: Sequence[str]) -> dict[str, ImageScores]:
        """See ShardReader."""
        stored = self.vectors(space, image_ids)
        return score_images(self._rows[space].space, queries, stored)

    def apply(self, changes: Sequence[Change], through_seq: int) -> None:
        """See ShardWriter."""
        last = {change.image_id: change for change in changes}
        prepared = {space.name: _prepare(space, last) for space in self.spaces}
        check_spaces(last.values(), prepared)
        with self._lock:
            image_ids, had = list(last), set[str]()
            for name, rows in self._rows.items():
                had |= rows.replace(image_ids, *prepared[name])
            self._image_count += len({image_id for ids, _ in prepared.values() for image_id in ids}) - len(had)
            self._view = self._publish(through_seq)

    def use_settings(self, spaces: Sequence[SpaceSpec]) -> None:
        """Build by the index settings of these specs from now on; what is built otherwise is built again in time."""
        with self._lock:
            self.spaces = tuple(spaces)
            for space in spaces:
                self._rows[space.name].space = space

    def begin_build(
        self,
        policy: BuildPolicy,
        *,
        is_idle: bool = False,
        without: Collection[str] = (),
        alone: Collection[str] = (),
    ) -> Build | None:
        """Return the build that is worth most now, or None. Its rows are set apart until `finish_build` or
        `abandon_build`; searches and writes go on. Nothing is built of the spaces `without`; what has grown in those
        `alone` takes no sealed segments along. Waits for a batch that is being applied."""
        with self._lock:
            budget = policy.budget_bytes // len(self._rows)
            for space, rows in self._rows.items():
                if space in without:
                    continue
                sizes = rows.sizes(budget)
                plan = next_build(rows.growing.open_rows, sizes, policy, is_idle=is_idle, alone=space in alone)
                if plan is not None:
                    name = f"segment-{secrets.token_hex(8)}"
                    self._building.add(name)
                    build = rows.begin(name, plan.sealed, growing=plan.growing)
                    spare = budget - rows.index_bytes(without=plan.sealed)
                    kind = choose_kind(rows.space.index, build.row_count, rows.space.dim, budget_bytes=spare)
                    return dataclasses.replace(build, kind=kind)
        return None

    def finish_build(self, build: Build, segment: SealedSegment | None) -> None:
        """Put the built segment in the place of its rows; None when there were none. Rows that died meanwhile are dead
        in it too."""
        with self._lock:
            self._rows[build.space.name].finish(build, segment)
            self._building.discard(build.name)
            self._view = self._publish(self._view.applied_seq)

    def abandon_build(self, build: Build) -> None:
        """Leave the rows of a build that failed where they are."""
        with self._lock:
            self._rows[build.space.name].abandon(build)
            self._building.discard(build.name)

    def adopt(self, segment: SealedSegment, dead: BoolArray | None) -> None:
        """Take in a segment of a snapshot; `finish_restore` makes it visible."""
        self._rows[segment.space.name].adopt(segment, dead)

    def restore(self, space: str, image_ids: Sequence[str], rows: Float32Array) -> None:
        """Append prepared rows of images that are not here yet; `finish_restore` makes them visible."""
        self._rows[space].growing.put(image_ids, rows)

    def finish_restore(self, applied_seq: int, image_count: int) -> None:
        """Make restored rows visible."""
        with self._lock:
            self._image_count = image_count
            self._view = self._publish(applied_seq)

    def _publish(self, applied_seq: int) -> ShardView:
        return ShardView(applied_seq, self._image_count, {name: rows.publish() for name, rows in self._rows.items()})


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
    return image_ids, stored_rows(np.concatenate(rows), space)
