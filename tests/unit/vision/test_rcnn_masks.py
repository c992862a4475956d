"""Masks of Mask R-CNN are the library's, on the grid of the picture; what they leave out can be left out of vectors."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pixvec.domain import RegionEmbedding
from pixvec.vision.detector import Detector
from pixvec.vision.rcnn_stages import coverage
from pixvec.vision.run_length import decode_mask
from tests.one_thread import one_thread
from tests.unit.vision.rcnns import ALL, as_tensor, loaded, network_of, pixels

NAME = "maskrcnn_resnet50_fpn"
FEW = dataclasses.replace(ALL, max_regions=5)
ALIKE = 0.999


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    network = network_of(NAME)
    # Masks that are neither empty nor full, of which each class has its own.
    order = torch.Generator().manual_seed(0)
    network.roi_heads.mask_predictor.mask_fcn_logits.weight.data.normal_(0, 1, generator=order)
    return network


@pytest.fixture(scope="module")
def detector(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return loaded(NAME, network, tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("size", [(40, 32), (30, 25)])
def test_masks_are_the_librarys(network: torch.nn.Module, detector: Detector, size: tuple[int, int]) -> None:
    picture = pixels(1, size)
    with torch.inference_mode():
        (truth,) = network([as_tensor(picture)])
    (found,) = detector.detect([picture], FEW)
    assert found.masks is not None
    shown = np.stack([decode_mask(mask) for mask in found.masks])
    assert shown.shape == (5, size[1], size[0])
    differing = shown != (truth["masks"][:5, 0] >= 0.5).numpy()
    assert differing.mean() < 0.01
    assert 0.01 < shown.mean() < 0.99


def test_masks_lie_in_their_boxes(detector: Detector) -> None:
    (found,) = detector.detect([pixels(1)], FEW)
    assert found.masks
    for mask, (x1, y1, x2, y2) in zip(found.masks, found.boxes, strict=True):
        rows, columns = decode_mask(mask).nonzero()
        # The library rounds the sides of what it pastes.
        assert x1 - 2 <= columns.min()
        assert columns.max() <= x2 + 2
        assert y1 - 2 <= rows.min()
        assert rows.max() <= y2 + 2


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_without_its_background_a_region_has_another_vector(detector: Detector, class_agnostic: bool) -> None:
    settings = dataclasses.replace(FEW, class_agnostic=class_agnostic)
    (whole,) = detector.detect([pixels(1)], settings)
    (without,) = detector.detect([pixels(1)], dataclasses.replace(settings, background_out=True))
    assert np.array_equal(whole.boxes, without.boxes)
    assert whole.masks == without.masks
    assert (whole.vectors * without.vectors).sum(axis=1).max() < ALIKE
    assert np.linalg.norm(without.vectors, axis=1) == pytest.approx(1)


def test_boxes_that_are_drawn_lose_their_background_too(detector: Detector) -> None:
    settings = dataclasses.replace(FEW, class_agnostic=True, background_out=True)
    (found,) = detector.detect([pixels(1)], settings)
    (vectors,) = detector.describe_boxes([pixels(1)], [found.boxes], settings)
    assert (vectors * found.vectors).sum(axis=1).min() > ALIKE


def test_a_picture_without_any_object_has_no_masks(detector: Detector) -> None:
    for settings in (FEW, dataclasses.replace(FEW, background_out=True)):
        (found,) = detector.detect([pixels(1)], dataclasses.replace(settings, min_score=1.0))
        assert (len(found), found.masks, found.vectors.shape) == (0, [], (0, 1024))


def test_masks_are_made_where_crops_are_embedded_too(detector: Detector) -> None:
    (found,) = detector.detect([pixels(1)], dataclasses.replace(FEW, embedding=RegionEmbedding.CROP))
    assert found.masks is not None
    assert (len(found.masks), found.vectors.shape) == (5, (5, 0))


def test_how_much_of_each_cell_is_the_object() -> None:
    shares = torch.zeros(2, 1, 28, 28)
    # The upper half, and a quarter of one cell; of the second region nothing is.
    shares[0, 0, :14] = 0.9
    shares[0, 0, 16:18, 0:2] = 0.5
    covered = coverage(shares)
    assert covered.shape == (2, 1, 7, 7)
    assert covered[0, 0, :3].eq(1).all()
    assert covered[0, 0, 3].eq(0.5).all()
    assert covered[0, 0, 4, 0] == 0.25
    assert covered[0, 0, 4, 1:].eq(0).all()
    assert covered[1].eq(1).all()
