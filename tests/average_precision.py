"""How good a detector is: average precision at an overlap of one half, as PASCAL VOC has measured it since 2010.

Everingham et al., The PASCAL visual object classes challenge: a retrospective, 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Marked:
    """Boxes of one picture, (n, 4) xyxy, with a label and a score each; what is true has a score of 1."""

    boxes: np.ndarray
    labels: Sequence[str]
    scores: np.ndarray


def mean_average_precision(found: Sequence[Marked], true: Sequence[Marked]) -> float:
    """Return the mean over the classes there are, of all pictures together: AP50, from 0 to 1."""
    labels = sorted({label for picture in true for label in picture.labels})
    return float(np.mean([average_precision(found, true, label) for label in labels]))


def average_precision(found: Sequence[Marked], true: Sequence[Marked], label: str) -> float:
    """Return the area below the curve of precision over recall of one class, precision never rising with recall."""
    hits, scores = [], []
    for own, truth in zip(found, true, strict=True):
        of_class, expected = of_label(own, label), of_label(truth, label)
        hits.append(matched(of_class, expected.boxes))
        scores.append(np.sort(of_class.scores)[::-1])
    total = sum(len(of_label(truth, label).boxes) for truth in true)
    right = np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[right].sum() / total)


def of_label(marked: Marked, label: str) -> Marked:
    """Return those of one class."""
    chosen = np.array([each == label for each in marked.labels], bool)
    return Marked(marked.boxes[chosen], [label] * int(chosen.sum()), marked.scores[chosen])


def matched(found: Marked, true: np.ndarray) -> np.ndarray:
    """Return whether each box is right, the best score first: none that is true can be found twice."""
    free = np.ones(len(true), bool)
    right = np.zeros(len(found.boxes), bool)
    for place, number in enumerate(np.argsort(-found.scores, kind="stable")):
        overlaps = overlap(found.boxes[number], true)
        best = int(overlaps.argmax()) if len(overlaps) else -1
        right[place] = best >= 0 and overlaps[best] >= OVERLAP and free[best]
        if right[place]:
            free[best] = False
    return right


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of one box with each of the others."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared)
