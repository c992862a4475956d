"""The measure of detectors is right on cases that can be counted by hand."""

import numpy as np
import pytest

from tests.average_precision import Marked, average_precision, matched, mean_average_precision, overlap

BOX = [0, 0, 10, 10]
OTHER = [20, 20, 30, 30]
NOWHERE = [50, 50, 60, 60]


def marked(boxes: list[list[int]], labels: str, scores: list[float] | None = None) -> Marked:
    shown = np.array(boxes, float).reshape(-1, 4)
    return Marked(shown, list(labels), np.array([1.0] * len(boxes) if scores is None else scores))


TRUE = marked([BOX, OTHER], "aa")


@pytest.mark.parametrize(
    ("box", "share"), [(BOX, 1), ([0, 0, 10, 5], 0.5), ([5, 0, 15, 10], 1 / 3), (NOWHERE, 0), ([10, 0, 20, 10], 0)]
)
def test_the_overlap_of_two_boxes(box: list[int], share: float) -> None:
    assert overlap(np.array(box, float), np.array([BOX], float)) == pytest.approx([share])


@pytest.mark.parametrize(
    ("found", "precision"),
    [
        (marked([BOX, OTHER], "aa", [0.9, 0.8]), 1),
        (marked([BOX], "a", [0.9]), 0.5),
        (marked([], "", []), 0),
        # A wrong one below the right ones costs nothing, above them a third of all.
        (marked([BOX, OTHER, NOWHERE], "aaa", [0.9, 0.8, 0.7]), 1),
        (marked([BOX, OTHER, NOWHERE], "aaa", [0.9, 0.8, 0.95]), 2 / 3),
        # One and a half: right, wrong, right.
        (marked([BOX, OTHER, NOWHERE], "aaa", [0.9, 0.7, 0.8]), (1 + 2 / 3) / 2),
        # Of another class, and what is found twice.
        (marked([BOX, OTHER], "bb", [0.9, 0.8]), 0),
        (marked([BOX, BOX, OTHER], "aaa", [0.9, 0.8, 0.7]), (1 + 2 / 3) / 2),
    ],
)
def test_average_precision(found: Marked, precision: float) -> None:
    assert average_precision([found], [TRUE], "a") == pytest.approx(precision)


def test_scores_are_compared_over_all_pictures() -> None:
    right, wrong = marked([BOX], "a", [0.8]), marked([NOWHERE], "a", [0.9])
    truth = [marked([BOX], "a"), marked([BOX], "a")]
    assert average_precision([right, wrong], truth, "a") == pytest.approx(0.25)


def test_classes_count_alike() -> None:
    truth = [marked([BOX, OTHER, NOWHERE], "aab")]
    assert mean_average_precision([marked([BOX, OTHER], "aa", [0.9, 0.8])], truth) == pytest.approx(0.5)


def test_the_box_with_the_better_score_is_the_right_one() -> None:
    assert matched(marked([BOX, BOX], "aa", [0.8, 0.9]), np.array([BOX], float)).tolist() == [True, False]
