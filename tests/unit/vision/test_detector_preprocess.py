"""A detector sees pictures in their own shape, as torchvision's detectors would resize them, and never enlarged."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.preprocess import (
    MOST_DETECTOR_SIDE,
    DetectorPreprocess,
    Fit,
    Interpolation,
    Preprocess,
    preprocess_from_json,
)
from tests.pictures import encode, make_jpeg, make_picture

SIZES = [(1600, 1200), (1200, 1600), (1000, 1000), (3000, 200), (200, 3000), (1333, 800), (801, 1500), (20_000, 1)]
SMALL = [(1, 1), (640, 480), (799, 1333), (1, 1333)]


@pytest.mark.parametrize("size", SIZES)
def test_what_the_detector_itself_resizes_no_more(size: tuple[int, int]) -> None:
    height, width, _ = DetectorPreprocess().shape(*size)
    network = GeneralizedRCNNTransform(800, 1333, [0.0], [1.0])
    resized, _ = network.resize(torch.zeros(1, height, width), None)
    assert resized.shape == (1, height, width)
    assert max(height, width) <= 1333
    assert min(height, width) <= 800


@pytest.mark.parametrize("size", SMALL)
def test_what_is_small_stays_as_it_is(size: tuple[int, int]) -> None:
    picture = make_picture(1, size) if min(size) > 9 else Image.new("RGB", size, (1, 2, 3))
    assert np.array_equal(DetectorPreprocess().apply(picture), np.asarray(picture))


@pytest.mark.parametrize("size", [(160, 120), (333, 250), (101, 987)])
def test_what_is_large_becomes_smaller_in_its_own_aspect_ratio(size: tuple[int, int]) -> None:
    pixels = DetectorPreprocess(64, 96).apply(make_picture(1, size))
    scales = np.array(pixels.shape[1::-1]) / size
    assert (max(pixels.shape[:2]) == 96) != (min(pixels.shape[:2]) == 64)
    assert scales[0] == pytest.approx(scales[1], rel=0.06)


def test_a_jpeg_decoded_small_has_the_shape_and_the_looks_of_the_whole() -> None:
    size = (1280, 960)
    picture = decode(make_jpeg(1, size), DetectorPreprocess(240, 400), DecodeLimits())
    whole = decode(encode(make_picture(1, size), "PNG"), DetectorPreprocess(240, 400), DecodeLimits())
    assert (picture.width, picture.height) == size
    assert picture.pixels.shape == whole.pixels.shape == (240, 320, 3)
    assert np.abs(picture.pixels.astype(int) - whole.pixels).mean() < 3


@pytest.mark.parametrize("sides", [(0, 10), (20, 10), (10, MOST_DETECTOR_SIDE + 1)])
def test_sides_that_no_picture_can_have(sides: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no picture has sides"):
        DetectorPreprocess(*sides)


@pytest.mark.parametrize(
    "preprocess",
    [
        DetectorPreprocess(320, 640),
        Preprocess(232, 224),
        Preprocess(64, 64, Fit.PAD, Interpolation.BICUBIC),
    ],
)
def test_the_text_of_either_gives_it_back(preprocess: DetectorPreprocess | Preprocess) -> None:
    assert preprocess_from_json(preprocess.to_json()) == preprocess
