"""What to build next: a pure function of sizes.

Growing rows are sealed when they are many. Sealed segments of like size are merged four at a time, so that a row is
built again a number of times that grows with the logarithm of the shard, and one with many dead rows is rewritten.
When nothing else is to be done, a segment built by other settings than those wanted now is built again.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pixvec.index.space_rows import SegmentSize

_MERGED_AT_ONCE = 4
_MAX_DEAD_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class BuildPolicy:
    """`seal_rows`: growing rows worth a segment. `least_rows`: fewer are left growing even when nothing is written.
    `max_segment_rows`: no merge makes a larger one. `budget_bytes`: what all indexes of a shard may take, for the kind
    `auto` chooses."""

    seal_rows: int = 10_000
    least_rows: int = 1_000
    max_segment_rows: int = 4_000_000
    budget_bytes: int = 2**40


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What goes into the next segment."""

    growing: bool
    sealed: tuple[str, ...]


def next_build(
    growing_rows: int, sealed: Sequence[SegmentSize], policy: BuildPolicy, *, is_idle: bool = False, alone: bool = False
) -> BuildPlan | None:
    """Return the build that helps searches most, or None. When idle, a smaller growing part is worth one; `alone`, it
    takes no sealed segments along."""
    free = [size for size in sealed if not size.is_frozen]
    if growing_rows >= (policy.least_rows if is_idle else policy.seal_rows):
        return BuildPlan(growing=True, sealed=() if alone else _swallowed(growing_rows, free, policy))
    deadest = max(free, key=_dead_share, default=None)
    if deadest is not None and _dead_share(deadest) > _MAX_DEAD_SHARE:
        return BuildPlan(growing=False, sealed=(deadest.name,))
    return _merge(free, policy) or _renewal(free)


def _swallowed(growing_rows: int, free: Sequence[SegmentSize], policy: BuildPolicy) -> tuple[str, ...]:
    """Return segments smaller than what has grown: they cost little to build again on this occasion."""
    return _that_fit([size for size in free if size.rows <= growing_rows], policy.max_segment_rows - growing_rows)


def _merge(free: Sequence[SegmentSize], policy: BuildPolicy) -> BuildPlan | None:
    tiers: dict[int, list[SegmentSize]] = {}
    for size in free:
        tiers.setdefault(_tier(size, policy), []).append(size)
    for _, sizes in sorted(tiers.items()):
        if len(sizes) >= _MERGED_AT_ONCE:
            taken = _that_fit(sizes, policy.max_segment_rows)[:_MERGED_AT_ONCE]
            if len(taken) > 1:
                return BuildPlan(growing=False, sealed=taken)
    return None


def _that_fit(sizes: Sequence[SegmentSize], rows: int) -> tuple[str, ...]:
    """Return the smallest segments as far as their live rows together are no more than `rows`."""
    smallest = sorted(sizes, key=lambda size: size.rows)
    totals = itertools.accumulate(size.rows - size.dead for size in smallest)
    return tuple(size.name for size, total in zip(smallest, totals, strict=True) if total <= rows)


def _renewal(free: Sequence[SegmentSize]) -> BuildPlan | None:
    outdated = min((size for size in free if size.is_outdated), key=lambda size: size.rows, default=None)
    return None if outdated is None else BuildPlan(growing=False, sealed=(outdated.name,))


def _tier(size: SegmentSize, policy: BuildPolicy) -> int:
    return max(0, int(math.log(max(1, size.rows) / policy.seal_rows, _MERGED_AT_ONCE)))


def _dead_share(size: SegmentSize) -> float:
    return size.dead / max(1, size.rows)
