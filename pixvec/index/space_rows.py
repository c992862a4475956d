"""The rows of one space as the shard's one writer sees them: a growing part, sealed segments, and builds between."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pixvec.domain import IndexKind
from pixvec.index.building import CHUNK_ROWS, INDEX
from pixvec.index.dead_rows import BoolArray, DeadRows
from pixvec.index.growing import BLOCK_BYTES, GrowingRows
from pixvec.index.interfaces import Float32Array, SpaceSpec
from pixvec.index.kinds import choose_kind, is_outdated
from pixvec.index.sealed import LiveRows, SealedSegment
from pixvec.index.sealed_search import SealedView
from pixvec.index.segment import FlatSegment, RowArray, Rows
from pixvec.index.space import SpaceView


@dataclass(frozen=True, slots=True)
class Build:
    """Rows of one space on their way into one sealed segment. The shard goes on meanwhile: what dies of them is dead
    in the new segment too."""

    space: SpaceSpec
    name: str
    growing: Mapping[int, FlatSegment]
    sealed: Mapping[str, SealedView]
    kind: IndexKind = IndexKind.FLAT

    @property
    def sources(self) -> list[FlatSegment | SealedView]:
        """Where the rows come from, in order."""
        return [*self.growing.values(), *self.sealed.values()]

    @property
    def row_count(self) -> int:
        """Rows to be written."""
        return sum(source.row_count - source.dead_count for source in self.sources)

    def chunks(self) -> Iterator[tuple[list[str], Float32Array]]:
        """Return the live rows with their images, some at a time."""
        for source in self.sources:
            live = source.live_rows()
            for begin in range(0, len(live), CHUNK_ROWS):
                rows = live[begin : begin + CHUNK_ROWS]
                yield source.ids(rows), source.take(rows)


@dataclass(slots=True)
class _Held:
    """A sealed segment with its dead rows."""

    segment: SealedSegment
    dead: DeadRows
    is_frozen: bool = False
    published: SealedView | None = field(default=None, repr=False)

    def bury(self, rows: range) -> None:
        self.dead.bury(rows)
        self.published = None

    def publish(self) -> SealedView:
        if self.published is None:
            mask = self.dead.publish() if self.dead.count else None
            live = None if mask is None else LiveRows(mask, self.segment.row_count - self.dead.count)
            self.published = SealedView(self.segment, mask, self.dead.count, live)
        return self.published


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """What a plan of builds has to know of one sealed segment. `is_frozen`: a build has its rows; `is_outdated`: the
    space's settings would make another one of them."""

    name: str
    rows: int
    dead: int
    is_frozen: bool = False
    is_outdated: bool = False


class SpaceRows:
    """One thread writes; what `publish` returned before stays as it was."""

    def __init__(self, space: SpaceSpec, block_bytes: int = BLOCK_BYTES) -> None:
        self.space = space
        self.growing = GrowingRows(space, block_bytes)
        self._sealed: dict[str, _Held] = {}

    def replace(self, image_ids: Sequence[str], new_ids: Sequence[str], rows: Float32Array) -> set[str]:
        """Mark the rows of some images dead, append prepared rows, (n, dim), those of one image neighbours, and return
        the images that had rows."""
        had = self._remove(image_ids)
        self.growing.put(new_ids, rows)
        self.growing.compact()
        return had

    def _remove(self, image_ids: Sequence[str]) -> set[str]:
        had = {image_id for image_id in image_ids if self.growing.remove(image_id)}
        elsewhere = [image_id for image_id in image_ids if image_id not in had]
        for held in self._sealed.values():
            for image_id, rows in zip(elsewhere, held.segment.find(elsewhere), strict=True):
                if len(rows) and not held.dead.is_dead(rows.start):
                    held.bury(rows)
                    had.add(image_id)
        return had

    def find(self, image_id: str) -> tuple[Rows, RowArray] | None:
        """Return where the image's rows are."""
        found = self.growing.find(image_id)
        if found is not None:
            return found
        for held in self._sealed.values():
            (rows,) = held.segment.find([image_id])
            if len(rows) and not held.dead.is_dead(rows.start):
                return held.publish(), np.array(rows)
        return None

    def publish(self) -> SpaceView:
        """Return the rows as they are now."""
        return SpaceView(self.space, self.growing.publish(), tuple(held.publish() for held in self._sealed.values()))

    @property
    def names(self) -> set[str]:
        """The sealed segments."""
        return set(self._sealed)

    def index_bytes(self, *, without: Collection[str]) -> int:
        """Return what the indexes of sealed segments take, but for some."""
        kept = [held.segment.seal for name, held in self._sealed.items() if name not in without]
        return sum(file.size_bytes for seal in kept for file in seal.files if file.name == INDEX)

    def sizes(self, budget_bytes: int) -> list[SegmentSize]:
        """Return what is sealed, oldest first. `budget_bytes`: what an index may take, for the kind `auto` chooses."""
        return [self._size(held, budget_bytes) for held in self._sealed.values()]

    def _size(self, held: _Held, budget_bytes: int) -> SegmentSize:
        seal, wanted = held.segment.seal, self.space.index
        chosen = choose_kind(wanted, seal.rows, self.space.dim, budget_bytes=budget_bytes)
        outdated = is_outdated(seal.kind, seal.rows, seal.settings, wanted, chosen)
        return SegmentSize(seal.name, seal.rows, held.dead.count, held.is_frozen, outdated)

    def begin(self, name: str, sealed: Sequence[str], *, growing: bool) -> Build:
        """Set rows apart for a build: all that have grown, and those of sealed segments."""
        for each in sealed:
            self._sealed[each].is_frozen = True
        blocks = self.growing.freeze() if growing else {}
        return Build(self.space, name, blocks, {each: self._sealed[each].publish() for each in sealed})

    def abandon(self, build: Build) -> None:
        """Forget a build that came to nothing: its rows stay where they are."""
        self.growing.thaw(build.growing)
        for name in build.sealed:
            self._sealed[name].is_frozen = False

    def finish(self, build: Build, segment: SealedSegment | None) -> None:
        """Put the new segment in the place of its sources; None when no row was left."""
        dead = self._died_since(build)
        self.growing.let_go(build.growing)
        for name in build.sealed:
            del self._sealed[name]
        if segment is not None:
            self.adopt(segment, dead if dead.any() else None)

    def adopt(self, segment: SealedSegment, dead: BoolArray | None) -> None:
        """Take in a segment with its dead rows, (rows,)."""
        self._sealed[segment.seal.name] = _Held(segment, DeadRows(segment.row_count, dead))

    def _died_since(self, build: Build) -> BoolArray:
        growing = [self.growing.dead_among(number, view.live_rows()) for number, view in build.growing.items()]
        sealed = [self._sealed[name].dead.among(view.live_rows()) for name, view in build.sealed.items()]
        return np.concatenate([np.zeros(0, np.bool_), *growing, *sealed])
