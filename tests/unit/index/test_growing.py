import numpy as np

from pixvec.domain import Metric
from pixvec.index.growing import GrowingRows
from pixvec.index.interfaces import SpaceSpec
from pixvec.index.space import SpaceView

SPACE = SpaceSpec("image", 2, Metric.INNER_PRODUCT)


def growing(block_rows: int = 4) -> GrowingRows:
    return GrowingRows(SPACE, block_rows * 4 * SPACE.dim)


def rows(*values: float) -> np.ndarray:
    return np.array([[value, 0] for value in values], np.float32)


def found(view: SpaceView) -> dict[str, list[float]]:
    by_image: dict[str, list[float]] = {}
    for segment in view.segments:
        live = segment.live_rows()
        for row, vector in zip(live.tolist(), segment.take(live), strict=True):
            by_image.setdefault(segment.image_ids[row], []).append(float(vector[0]))
    return by_image


def test_a_view_stays_as_it_was() -> None:
    space = growing()
    space.put(["a", "b"], rows(1, 2))
    before = space.publish()
    space.put(["a"], rows(3))
    after_write = space.publish()
    space.remove("b")
    space.put(["c"], rows(4))
    assert found(before) == {"a": [1], "b": [2]}
    assert found(after_write) == {"a": [3], "b": [2]}
    assert found(space.publish()) == {"a": [3], "c": [4]}


def test_a_view_stays_as_it_was_when_rows_come_before_deletes() -> None:
    space = growing(8)
    space.put(["a", "b"], rows(1, 2))
    space.remove("a")
    before = space.publish()
    space.put(["c"], rows(3))
    space.remove("b")
    assert found(before) == {"b": [2]}
    assert found(space.publish()) == {"c": [3]}


def test_the_rows_of_an_image_stay_in_one_block() -> None:
    space = growing(4)
    space.put(["a", "b", "b", "b"], rows(1, 2, 3, 4))
    space.put(["c", "c", "d"], rows(5, 6, 7))
    space.put(["e", "e", "e"], rows(8, 9, 10))
    for segment in space.publish().segments:
        held = set(segment.image_ids[: segment.row_count])
        others = [each for each in space.publish().segments if each is not segment]
        assert not any(held & set(other.image_ids[: other.row_count]) for other in others)
    assert found(space.publish())["e"] == [8, 9, 10]


def test_an_image_of_more_rows_than_a_block_gets_one_of_its_own() -> None:
    space = growing(2)
    space.put(["a", "b", "b", "b", "b", "b", "c"], rows(1, 2, 3, 4, 5, 6, 7))
    assert found(space.publish()) == {"a": [1], "b": [2, 3, 4, 5, 6], "c": [7]}
    space.remove("b")
    assert found(space.publish()) == {"a": [1], "c": [7]}


def test_compacting_lets_the_dead_go_and_finds_the_living() -> None:
    space = growing(4)
    space.put(["a", "b", "b", "c", "d"], rows(1, 2, 3, 4, 5))
    before = space.publish()
    space.remove("a")
    space.remove("c")
    space.compact()
    view = space.publish()
    assert found(view) == {"d": [5], "b": [2, 3]}
    assert (view.row_count, view.live_count) == (3, 3)
    assert found(before) == {"a": [1], "b": [2, 3], "c": [4], "d": [5]}
    segment, places = space.find("b") or (None, None)
    assert segment is not None
    assert segment.take(places)[:, 0].tolist() == [2, 3]


def test_compacting_leaves_a_block_with_few_dead() -> None:
    space = growing(8)
    space.put([str(number) for number in range(8)], rows(*range(8)))
    space.remove("3")
    space.remove("4")
    space.compact()
    assert space.publish().row_count == 8
    space.remove("5")
    space.compact()
    assert space.publish().row_count == 5


def test_everything_removed_leaves_nothing() -> None:
    space = growing(4)
    space.put(["a", "b"], rows(1, 2))
    space.remove("a")
    space.remove("b")
    space.remove("b")
    space.compact()
    assert found(space.publish()) == {}
    assert space.find("a") is None


def test_memory_of_a_thousand_updates_of_one_image_stays_bounded() -> None:
    space = growing(16)
    for number in range(1000):
        space.put(["a"], rows(number))
        space.compact()
        space.publish()
    assert space.publish().row_count <= 16
    assert found(space.publish()) == {"a": [999]}
