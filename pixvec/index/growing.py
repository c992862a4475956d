"""The rows of one space as its one writer sees them: appended, marked dead, compacted; published as views."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pixvec.index.interfaces import Float32Array, SpaceSpec
from pixvec.index.rows import row_lengths
from pixvec.index.segment import BoolArray, FlatSegment, RowArray, Segment
from pixvec.index.space import SpaceView

# Memory is taken in blocks that never move: no peak from doubling, no reader to wait for. Untouched pages cost nothing.
BLOCK_BYTES = 32 * 2**20
# A block is rewritten when more of it than this is dead: searching around the dead takes twice the time.
_MAX_DEAD_SHARE = 0.25
_OFFSET_BITS = 32


@dataclass(slots=True)
class _Block:
    """Rows up to `count` are published and never change; those above are the writer's."""

    vectors: Float32Array
    image_ids: list[str] = field(default_factory=list)
    count: int = 0
    dead: BoolArray | None = None
    dead_count: int = 0
    published: Segment | None = None
    # Whether a view may hold `dead`.
    dead_is_shared: bool = False

    @property
    def room(self) -> int:
        return len(self.vectors) - self.count

    def append(self, image_ids: Sequence[str], rows: Float32Array) -> None:
        self.vectors[self.count : self.count + len(rows)] = rows
        self.image_ids.extend(image_ids)
        self.count += len(rows)
        self.published = None

    def image_rows(self, offset: int) -> range:
        """Return the rows of the image that starts here: an image's rows are neighbours."""
        end, image_id = offset + 1, self.image_ids[offset]
        while end < self.count and self.image_ids[end] == image_id:
            end += 1
        return range(offset, end)

    def bury(self, rows: range) -> None:
        """Mark rows dead, in a copy if views share the old marks."""
        if self.dead is None:
            self.dead = np.zeros(len(self.vectors), np.bool_)
        elif self.dead_is_shared:
            self.dead = self.dead.copy()
        self.dead_is_shared = False
        self.dead[rows.start : rows.stop] = True
        self.dead_count += len(rows)
        self.published = None

    def publish(self, space: SpaceSpec) -> Segment:
        if self.published is None:
            dead = None if self.dead is None else self.dead[: self.count]
            self.dead_is_shared = True
            self.published = FlatSegment(space.metric, self.vectors[: self.count], self.image_ids, dead)
        return self.published


class GrowingRows:
    """The rows of one space. One thread writes; what `publish` returned before stays as it was."""

    def __init__(self, space: SpaceSpec, block_bytes: int = BLOCK_BYTES) -> None:
        self.space = space
        self._block_rows = max(1, block_bytes // (4 * space.dim))
        self._blocks: dict[int, _Block] = {}
        self._next_block = 0
        self._places: dict[str, int] = {}
        self._max_length = 0.0

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._places

    def put(self, image_ids: Sequence[str], rows: Float32Array) -> None:
        """Append prepared rows, (n, dim); those of one image are neighbours and take the place of its old ones."""
        for image_id in dict.fromkeys(image_ids):
            self.remove(image_id)
        if len(rows):
            self._max_length = max(self._max_length, float(row_lengths(rows).max()))
            self._append(image_ids, rows)

    def remove(self, image_id: str) -> None:
        """Mark the image's rows dead, if it has any."""
        place = self._places.pop(image_id, None)
        if place is not None:
            block = self._blocks[place >> _OFFSET_BITS]
            block.bury(block.image_rows(place & (2**_OFFSET_BITS - 1)))

    def find(self, image_id: str) -> tuple[Segment, RowArray] | None:
        """Return where the image's published rows are."""
        place = self._places.get(image_id)
        if place is None:
            return None
        block = self._blocks[place >> _OFFSET_BITS]
        return block.publish(self.space), np.array(block.image_rows(place & (2**_OFFSET_BITS - 1)))

    def compact(self) -> None:
        """Rewrite the deadest block if it is dead enough: its live rows move to the open one, and it is let go."""
        worst = max(self._blocks, key=self._dead_share, default=None)
        if worst is None or self._dead_share(worst) <= _MAX_DEAD_SHARE:
            return
        block = self._blocks.pop(worst)
        live = np.arange(block.count) if block.dead is None else np.flatnonzero(~block.dead[: block.count])
        self._append([block.image_ids[row] for row in live.tolist()], block.vectors[live])

    def publish(self) -> SpaceView:
        """Return the rows as they are now."""
        segments = tuple(block.publish(self.space) for block in self._blocks.values() if block.count)
        return SpaceView(self.space, segments, self._max_length)

    def _dead_share(self, number: int) -> float:
        block = self._blocks[number]
        return block.dead_count / max(1, block.count)

    def _append(self, image_ids: Sequence[str], rows: Float32Array) -> None:
        begin = 0
        while begin < len(rows):
            number = self._open_block(image_ids, begin)
            block = self._blocks[number]
            end = _image_boundary(image_ids, begin, begin + block.room)
            for offset in range(begin, end):
                if offset == begin or image_ids[offset] != image_ids[offset - 1]:
                    self._places[image_ids[offset]] = number << _OFFSET_BITS | (block.count + offset - begin)
            block.append(image_ids[begin:end], rows[begin:end])
            begin = end

    def _open_block(self, image_ids: Sequence[str], begin: int) -> int:
        """Return a block with room for at least the first image."""
        needed = 1
        while begin + needed < len(image_ids) and image_ids[begin + needed] == image_ids[begin]:
            needed += 1
        newest = self._next_block - 1
        if newest in self._blocks and self._blocks[newest].room >= needed:
            return newest
        capacity = max(self._block_rows, needed)
        self._blocks[self._next_block] = _Block(np.empty((capacity, self.space.dim), np.float32))
        self._next_block += 1
        return self._next_block - 1


def _image_boundary(image_ids: Sequence[str], begin: int, end: int) -> int:
    """Return the last place up to `end` where one image's rows end, so that no image is in two blocks."""
    end = min(end, len(image_ids))
    while begin < end < len(image_ids) and image_ids[end] == image_ids[end - 1]:
        end -= 1
    return end
