"""The rows of one space as its one writer sees them: appended, marked dead, compacted; published as views."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pixvec.index.dead_rows import BoolArray, DeadRows
from pixvec.index.growing_search import GrowingView
from pixvec.index.interfaces import Float32Array, Ordinals, SpaceSpec
from pixvec.index.merge import row_ordinals
from pixvec.index.rows import row_lengths
from pixvec.index.segment import FlatSegment, RowArray

# Memory is taken in blocks that never move: no peak from doubling, no reader to wait for. Untouched pages cost nothing.
BLOCK_BYTES = 32 * 2**20
# A block is rewritten when more of it than this is dead: searching around the dead takes twice the time.
_MAX_DEAD_SHARE = 0.25
_OFFSET_BITS = 32


@dataclass(slots=True)
class _Block:
    """Rows up to `count` are published and never change; those above are the writer's."""

    vectors: Float32Array
    dead: DeadRows
    image_ids: list[str] = field(default_factory=list)
    # None as long as every image has one row.
    ordinals: Ordinals | None = None
    count: int = 0
    published: FlatSegment | None = None
    # Being built into a sealed segment: it takes no more rows, and is not rewritten.
    is_frozen: bool = False

    @property
    def room(self) -> int:
        return 0 if self.is_frozen else len(self.vectors) - self.count

    @property
    def dead_share(self) -> float:
        return 0.0 if self.is_frozen else self.dead.count / max(1, self.count)

    def append(self, image_ids: Sequence[str], rows: Float32Array, ordinals: Ordinals | None) -> None:
        self.vectors[self.count : self.count + len(rows)] = rows
        if ordinals is not None:
            if self.ordinals is None:
                self.ordinals = np.zeros(len(self.vectors), np.uint32)
            self.ordinals[self.count : self.count + len(rows)] = ordinals
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
        self.dead.bury(rows)
        self.published = None

    def publish(self, space: SpaceSpec) -> FlatSegment:
        if self.published is None:
            dead = self.dead.publish()
            marks = None if dead is None else dead[: self.count]
            ordinals = None if self.ordinals is None else self.ordinals[: self.count]
            self.published = FlatSegment(space.metric, self.vectors[: self.count], self.image_ids, marks, ordinals)
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

    def put(self, image_ids: Sequence[str], rows: Float32Array) -> None:
        """Append prepared rows, (n, dim); those of one image are neighbours and take the place of its old ones."""
        for image_id in dict.fromkeys(image_ids):
            self.remove(image_id)
        if len(rows):
            self._max_length = max(self._max_length, float(row_lengths(rows).max()))
            self._append(image_ids, rows)

    def remove(self, image_id: str) -> bool:
        """Mark the image's rows dead; return whether it had any."""
        place = self._places.pop(image_id, None)
        if place is None:
            return False
        block = self._blocks[place >> _OFFSET_BITS]
        block.bury(block.image_rows(place & (2**_OFFSET_BITS - 1)))
        return True

    @property
    def open_rows(self) -> int:
        """Rows that no build has set apart, the dead ones included. For the thread that writes."""
        return sum(block.count for block in self._blocks.values() if not block.is_frozen)

    def freeze(self) -> dict[int, FlatSegment]:
        """Return every row that is here now, by block, for a build. Rows that come later go elsewhere."""
        numbers = [number for number, block in self._blocks.items() if block.count and not block.is_frozen]
        for number in numbers:
            self._blocks[number].is_frozen = True
        return {number: self._blocks[number].publish(self.space) for number in numbers}

    def thaw(self, numbers: Iterable[int]) -> None:
        """Forget a build of these blocks that came to nothing."""
        for number in numbers:
            self._blocks[number].is_frozen = False

    def dead_among(self, number: int, rows: RowArray) -> BoolArray:
        """Return which of these rows of a block are dead by now."""
        return self._blocks[number].dead.among(rows)

    def let_go(self, numbers: Iterable[int]) -> None:
        """Drop frozen blocks, whose rows are in a sealed segment now."""
        for number in numbers:
            for image_id in dict.fromkeys(self._blocks.pop(number).image_ids):
                if self._places.get(image_id, -1) >> _OFFSET_BITS == number:
                    del self._places[image_id]

    def find(self, image_id: str) -> tuple[FlatSegment, RowArray] | None:
        """Return where the image's published rows are."""
        place = self._places.get(image_id)
        if place is None:
            return None
        block = self._blocks[place >> _OFFSET_BITS]
        return block.publish(self.space), np.array(block.image_rows(place & (2**_OFFSET_BITS - 1)))

    def compact(self) -> None:
        """Rewrite the deadest block if it is dead enough: its live rows move to the open one, and it is let go."""
        worst = max(self._blocks, key=lambda number: self._blocks[number].dead_share, default=None)
        if worst is None or self._blocks[worst].dead_share <= _MAX_DEAD_SHARE:
            return
        block = self._blocks.pop(worst)
        live = block.publish(self.space).live_rows()
        self._append([block.image_ids[row] for row in live.tolist()], block.vectors[live])

    def publish(self) -> GrowingView:
        """Return the rows as they are now."""
        segments = tuple(block.publish(self.space) for block in self._blocks.values() if block.count)
        return GrowingView(self.space, segments, self._max_length)

    def _append(self, image_ids: Sequence[str], rows: Float32Array) -> None:
        ordinals = row_ordinals(image_ids)
        begin = 0
        while begin < len(rows):
            number = self._open_block(image_ids, begin)
            block = self._blocks[number]
            end = _image_boundary(image_ids, begin, begin + block.room)
            for offset in range(begin, end):
                if offset == begin or image_ids[offset] != image_ids[offset - 1]:
                    self._places[image_ids[offset]] = number << _OFFSET_BITS | (block.count + offset - begin)
            block.append(image_ids[begin:end], rows[begin:end], None if ordinals is None else ordinals[begin:end])
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
        self._blocks[self._next_block] = _Block(np.empty((capacity, self.space.dim), np.float32), DeadRows(capacity))
        self._next_block += 1
        return self._next_block - 1


def _image_boundary(image_ids: Sequence[str], begin: int, end: int) -> int:
    """Return the last place up to `end` where one image's rows end, so that no image is in two blocks."""
    end = min(end, len(image_ids))
    while begin < end < len(image_ids) and image_ids[end] == image_ids[end - 1]:
        end -= 1
    return end
