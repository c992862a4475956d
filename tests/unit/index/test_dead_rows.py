import numpy as np

from pixvec.index.dead_rows import DeadRows


def test_nothing_is_dead_at_first() -> None:
    dead = DeadRows(5)
    assert (dead.count, dead.publish(), dead.is_dead(4)) == (0, None, False)
    assert dead.among(np.array([0, 4])).tolist() == [False, False]


def test_marks_are_seen_and_counted() -> None:
    dead = DeadRows(6)
    dead.bury(range(1, 3))
    dead.bury(range(5, 6))
    published = dead.publish()
    assert published is not None
    assert np.flatnonzero(published).tolist() == [1, 2, 5]
    assert dead.count == 3
    assert (dead.is_dead(1), dead.is_dead(3)) == (True, False)
    assert dead.among(np.array([5, 0, 2])).tolist() == [True, False, True]


def test_what_was_published_stays_as_it_was() -> None:
    dead = DeadRows(4)
    dead.bury(range(1))
    before = dead.publish()
    dead.bury(range(2, 3))
    between = dead.publish()
    dead.bury(range(3, 4))
    assert before is not None
    assert between is not None
    assert before.tolist() == [True, False, False, False]
    assert between.tolist() == [True, False, True, False]
    assert dead.count == 3


def test_nothing_is_copied_while_nobody_looks() -> None:
    dead = DeadRows(4)
    dead.bury(range(1))
    first = dead.publish()
    dead.bury(range(1, 2))
    dead.bury(range(2, 3))
    assert dead.publish() is dead.publish()
    assert dead.publish() is not first


def test_marks_of_a_snapshot_are_not_written_to() -> None:
    mask = np.array([True, False, False])
    dead = DeadRows(3, mask)
    assert dead.count == 1
    dead.bury(range(1, 2))
    assert mask.tolist() == [True, False, False]
    published = dead.publish()
    assert published is not None
    assert published.tolist() == [True, True, False]
