"""Boxes that are drawn become vectors as those that were found do, cut to their picture."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from pixvec.errors import InvalidRequest
from pixvec.vision.detector import Detector, clip_boxes, scale_boxes
from tests.one_thread import one_thread
from tests.unit.vision.rcnns import ALL, loaded, network_of, pixels

NAME = "fasterrcnn_mobilenet_v3_large_fpn"
ALIKE = 0.999


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return loaded(NAME, network_of(NAME), tmp_path_factory.mktemp("weights"))


def boxes(*corners: tuple[float, ...]) -> np.ndarray:
    return np.array(corners, np.float32).reshape(-1, 4)


@pytest.mark.parametrize("size", [(40, 32), (300, 200), (30, 25)])
def test_a_box_that_was_found_has_the_vector_it_was_found_with(detector: Detector, size: tuple[int, int]) -> None:
    picture = pixels(1, size)
    (found,) = detector.detect([picture], ALL)
    (vectors,) = detector.describe_boxes([picture], [found.boxes], ALL)
    assert (vectors * found.vectors).sum(axis=1).min() > ALIKE


def test_each_picture_has_its_own_boxes_in_its_own_order(detector: Detector) -> None:
    pictures = [pixels(seed, size) for seed, size in enumerate([(40, 32), (32, 40), (40, 32)])]
    drawn = [boxes((0, 0, 20, 20), (5, 5, 30, 30)), boxes(), boxes((10, 10, 30, 20))]
    together = detector.describe_boxes(pictures, drawn, ALL)
    assert [vectors.shape for vectors in together] == [(2, 1024), (0, 1024), (1, 1024)]
    for picture, own, vectors in zip(pictures, drawn, together, strict=True):
        for box, vector in zip(own, vectors, strict=True):
            (alone,) = detector.describe_boxes([picture], [box[np.newaxis]], ALL)
            assert alone[0] @ vector > ALIKE


def test_what_lies_beyond_the_picture_is_cut_off(detector: Detector) -> None:
    drawn = boxes((-10, -5, 20, 50), (0, 0, 20, 32))
    ((beyond, within),) = detector.describe_boxes([pixels(1)], [drawn], ALL)
    assert beyond @ within > ALIKE


def test_the_least_box_has_a_vector(detector: Detector) -> None:
    (vectors,) = detector.describe_boxes([pixels(1)], [boxes((3, 3, 3.001, 3.001))], ALL)
    assert np.linalg.norm(vectors) == pytest.approx(1)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((40, 0, 50, 10), r"\(40, 0, 50, 10\) lies outside the picture, which is 40 x 32 pixels"),
        ((0, 32, 10, 40), "lies outside"),
        ((-9, 0, 0, 10), "lies outside"),
        ((0, -9, 10, 0), "lies outside"),
        ((5, 5, 5, 10), "is empty: give x1 < x2 and y1 < y2"),
        ((5, 5, 10, 4), "is empty"),
        ((float("nan"), 0, 5, 5), "is empty"),
        ((0, 0, float("inf"), 5), "is empty"),
    ],
)
def test_boxes_without_anything_in_them(detector: Detector, box: tuple[float, ...], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        detector.describe_boxes([pixels(1), pixels(2)], [boxes((0, 0, 9, 9)), boxes(box)], ALL)
    assert caught.value.field == "box"


def test_no_background_is_left_out_without_masks(detector: Detector) -> None:
    settings = dataclasses.replace(ALL, background_out=True)
    for call in (
        lambda: detector.detect([pixels(1)], settings),
        lambda: detector.describe_boxes([pixels(1)], [boxes((0, 0, 9, 9))], settings),
    ):
        with pytest.raises(InvalidRequest, match=f"detector:{NAME}/fruit makes no masks .* take a Mask R-CNN"):
            call()


def test_boxes_are_cut_to_a_picture() -> None:
    assert clip_boxes(boxes((-1, -2, 5, 6), (1, 1, 99, 99)), 10, 8).tolist() == [[0, 0, 5, 6], [1, 1, 10, 8]]
    assert clip_boxes(boxes(), 10, 8).shape == (0, 4)


def test_boxes_go_from_one_size_of_a_picture_to_another() -> None:
    scaled = scale_boxes(boxes((1, 2, 3, 4)), (10, 10), (20, 50))
    assert (scaled.tolist(), scaled.dtype) == ([[2, 10, 6, 20]], np.float32)
