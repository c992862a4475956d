"""What is built next, and that building ends."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.index.plan import BuildPlan, BuildPolicy, next_build
from pixvec.index.space_rows import SegmentSize

POLICY = BuildPolicy(seal_rows=100, least_rows=10, max_segment_rows=10_000)


def size(name: str, rows: int, dead: int = 0, *, is_frozen: bool = False) -> SegmentSize:
    return SegmentSize(name, rows, dead, is_frozen)


def sizes(*rows: int) -> list[SegmentSize]:
    return [size(f"{number}", count) for number, count in enumerate(rows)]


@pytest.mark.parametrize(
    ("growing", "idle", "sealed"),
    [(0, False, False), (99, False, False), (100, False, True), (9, True, False), (10, True, True), (0, True, False)],
)
def test_growing_rows_are_sealed_when_many_or_when_idle(growing: int, idle: bool, sealed: bool) -> None:
    expected = BuildPlan(growing=True, sealed=()) if sealed else None
    assert next_build(growing, [], POLICY, is_idle=idle) == expected


def test_sealing_takes_smaller_segments_along() -> None:
    plan = next_build(200, sizes(150, 201, 200, 5000, 20), POLICY)
    assert plan == BuildPlan(growing=True, sealed=("4", "0", "2"))


def test_sealing_alone_takes_nothing_along() -> None:
    assert next_build(200, sizes(150, 20), POLICY, alone=True) == BuildPlan(growing=True, sealed=())


def test_sealing_leaves_what_would_make_too_large_a_segment() -> None:
    plan = next_build(6000, sizes(5000, 1500, 2000), POLICY)
    assert plan == BuildPlan(growing=True, sealed=("1", "2"))


def test_the_dead_do_not_count_in_the_size_of_a_segment() -> None:
    plan = next_build(6000, [size("a", 5000, 4000), size("b", 5999, 3000)], POLICY)
    assert plan == BuildPlan(growing=True, sealed=("a", "b"))


@pytest.mark.parametrize("dead", [100, 101])
def test_the_deadest_segment_is_rewritten_beyond_a_quarter(dead: int) -> None:
    plan = next_build(0, [size("a", 400, dead), size("b", 4000, 900)], POLICY)
    assert plan == (BuildPlan(growing=False, sealed=("a",)) if dead > 100 else None)


def test_sealing_comes_before_rewriting_and_rewriting_before_merging() -> None:
    sealed = [*sizes(150, 150, 150, 150), size("dead", 3000, 2000)]
    assert next_build(100, sealed, POLICY) == BuildPlan(growing=True, sealed=())
    assert next_build(0, sealed, POLICY) == BuildPlan(growing=False, sealed=("dead",))
    assert next_build(0, sealed[:4], POLICY) == BuildPlan(growing=False, sealed=("0", "1", "2", "3"))


def test_four_of_a_tier_are_merged_the_smallest_first() -> None:
    assert next_build(0, sizes(150, 150, 150), POLICY) is None
    assert next_build(0, sizes(150, 150, 150, 500, 600, 700), POLICY) is None
    plan = next_build(0, sizes(390, 120, 150, 900, 100, 350), POLICY)
    assert plan == BuildPlan(growing=False, sealed=("4", "1", "2", "5"))


def test_the_lowest_tier_comes_first() -> None:
    plan = next_build(0, sizes(450, 500, 600, 700, 20, 30, 150, 140), POLICY)
    assert plan is not None
    assert set(plan.sealed) == {"4", "5", "6", "7"}


def test_no_merge_makes_too_large_a_segment() -> None:
    assert next_build(0, sizes(2600, 2600, 2600, 2600), POLICY) == BuildPlan(growing=False, sealed=("0", "1", "2"))
    assert next_build(0, sizes(6000, 6000, 6000, 6000), POLICY) is None
    almost = [*sizes(2600, 2600, 2600), size("3", 2600, 400)]
    assert next_build(0, almost, POLICY) == BuildPlan(growing=False, sealed=("0", "1", "2", "3"))


def test_what_a_build_has_is_left_to_it() -> None:
    frozen = [replace(each, is_frozen=True) for each in sizes(50, 150, 150, 150)]
    assert next_build(100, frozen, POLICY) == BuildPlan(growing=True, sealed=())
    assert next_build(0, [*frozen, size("free", 150)], POLICY) is None
    assert next_build(0, [size("a", 100, 90, is_frozen=True)], POLICY) is None


def test_nothing_there_is_nothing_to_do() -> None:
    assert next_build(0, [], POLICY) is None
    assert next_build(0, [], POLICY, is_idle=True) is None
    assert next_build(0, [size("empty", 0)], POLICY) is None


class Rows:
    """The segments of one space by their sizes alone, as builds change them."""

    def __init__(self, sealed: list[tuple[int, int]]) -> None:
        self.names = itertools.count()
        self.sealed = [size(f"{next(self.names)}", rows, dead) for rows, dead in sealed]
        self.growing = 0
        self.written = 0

    def build(self, *, is_idle: bool) -> bool:
        plan = next_build(self.growing, self.sealed, POLICY, is_idle=is_idle)
        if plan is None:
            return False
        taken = [each for each in self.sealed if each.name in plan.sealed]
        assert len(taken) == len(plan.sealed)
        rows = sum(each.rows - each.dead for each in taken)
        if plan.growing:
            rows, self.growing = rows + self.growing, 0
        self.sealed = [each for each in self.sealed if each not in taken]
        if rows:
            self.sealed.append(size(f"{next(self.names)}", rows))
        self.written += rows
        return True


_SIZES = st.integers(1, 20_000).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(0, rows)))


@settings(deadline=None)
@given(st.lists(_SIZES, max_size=30), st.integers(0, 5000), st.booleans())
def test_building_comes_to_an_end(sealed: list[tuple[int, int]], growing: int, is_idle: bool) -> None:
    rows = Rows(sealed)
    rows.growing = growing
    live = growing + sum(count - dead for count, dead in sealed)
    for _ in range(200):
        if not rows.build(is_idle=is_idle):
            break
    else:
        pytest.fail("there is always something to build")
    assert rows.growing + sum(each.rows - each.dead for each in rows.sealed) == live


def test_few_segments_and_few_builds_a_row_however_many_are_written() -> None:
    rows = Rows([])
    for _ in range(500):
        rows.growing += 100
        while rows.build(is_idle=False):
            pass
    # 50,000 rows, of which at most 10,000 make a segment.
    assert len(rows.sealed) <= 15
    assert rows.written <= 6 * 50_000
