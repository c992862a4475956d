"""A detector that was trained on made scenes finds the things in others, and its vectors tell their shapes apart."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import RegionSettings
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.detector import Detections, Detector, scale_boxes
from pixvec.vision.detectors import load_detector
from pixvec.vision.weights import WeightSource
from tests.average_precision import OVERLAP, Marked, mean_average_precision, overlap
from tests.detectors import DIM, NAME
from tests.one_thread import one_thread
from tests.pictures import encode
from tests.scenes import SHAPES, Scene, scenes

SIZE = (224, 224)
# None of those that it was trained on.
HELD_OUT = range(1_000_000, 1_000_080)
NEIGHBOURS = 5


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def detector(detector_weights: Path) -> Detector:
    return load_detector(NAME, WeightSource({NAME: detector_weights}, download=False))


@pytest.fixture(scope="module")
def shown() -> list[Scene]:
    return list(scenes(HELD_OUT, SIZE))


def detected(detector: Detector, shown: list[Scene], settings: RegionSettings) -> list[Detections]:
    """Return what is found in the scenes' files."""
    pictures = [decode(encode(scene.picture, "PNG"), detector.preprocess, DecodeLimits()).pixels for scene in shown]
    return detector.detect(pictures, settings)


def upright(found: Detections, detector: Detector) -> np.ndarray:
    height, width, _ = detector.preprocess.shape(*SIZE)
    return scale_boxes(found.boxes, (width, height), SIZE)


def true_things(scene: Scene) -> Marked:
    boxes = np.array([thing.box_xyxy for thing in scene.things], float)
    return Marked(boxes, [thing.shape for thing in scene.things], np.ones(len(boxes)))


def test_it_is_one_of_its_own_classes(detector: Detector) -> None:
    assert (detector.classes, detector.dim, detector.has_masks) == (SHAPES, DIM, False)


def test_it_finds_the_things_in_scenes_that_it_has_not_seen(detector: Detector, shown: list[Scene]) -> None:
    every = detected(detector, shown, RegionSettings(NAME, min_score=0.05, max_regions=100))
    found = [Marked(upright(each, detector), each.labels, each.scores) for each in every]
    assert mean_average_precision(found, [true_things(scene) for scene in shown]) >= 0.8


def test_its_proposals_cover_the_things_whatever_their_class(detector: Detector, shown: list[Scene]) -> None:
    settings = RegionSettings(NAME, class_agnostic=True, min_score=0.5)
    proposals = [upright(each, detector) for each in detected(detector, shown, settings)]
    covered = [
        overlap(np.array(thing.box_xyxy, float), own).max(initial=0) >= OVERLAP
        for scene, own in zip(shown, proposals, strict=True)
        for thing in scene.things
    ]
    assert np.mean(covered) >= 0.9


def test_its_vectors_retrieve_regions_of_the_same_class(detector: Detector, shown: list[Scene]) -> None:
    described = detector.describe_boxes(
        [detector.preprocess.apply(scene.picture) for scene in shown],
        [of_pixels(scene, detector) for scene in shown],
        RegionSettings(NAME),
    )
    vectors = np.concatenate(described)
    labels = np.array([thing.label for scene in shown for thing in scene.things])
    assert precision(vectors, labels) >= 0.8


def test_vectors_of_what_it_found_retrieve_the_same_class(detector: Detector, shown: list[Scene]) -> None:
    found = detected(detector, shown, RegionSettings(NAME))
    vectors, labels = [], []
    for scene, own in zip(shown, found, strict=True):
        for box, vector in zip(upright(own, detector), own.vectors, strict=True):
            overlaps = overlap(box, true_things(scene).boxes)
            if overlaps.max() >= OVERLAP:
                vectors.append(vector)
                labels.append(scene.things[int(overlaps.argmax())].label)
    assert len(labels) >= len(shown)
    assert precision(np.stack(vectors), np.array(labels)) >= 0.8


def of_pixels(scene: Scene, detector: Detector) -> np.ndarray:
    height, width, _ = detector.preprocess.shape(*SIZE)
    return scale_boxes(true_things(scene).boxes.astype(np.float32), SIZE, (width, height))


def precision(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the nearest regions, a region itself left out, that are of its class."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1)[:, :NEIGHBOURS]
    return float((labels[nearest] == labels[:, np.newaxis]).mean())
