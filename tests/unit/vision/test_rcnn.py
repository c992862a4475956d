"""Detectors find what torchvision's own networks find, and describe it by their box head, however pictures come."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from pixvec.domain import RegionEmbedding
from pixvec.vision.detector import Detections, Detector
from pixvec.vision.detector_architectures import DETECTORS
from tests.one_thread import one_thread
from tests.unit.vision.rcnns import ALL, CLASSES, as_tensor, lively, load_from, loaded, network_of, pixels, stored

NAME = "fasterrcnn_mobilenet_v3_large_fpn"
ALIKE = 0.999


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return network_of(NAME)


@pytest.fixture(scope="module")
def file(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "trained.pth"
    torch.save(stored(network), file)
    return file


@pytest.fixture(scope="module")
def detector(file: Path) -> Detector:
    return load_from(NAME, file)


def agreement(found: Detections, boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of the library's boxes that were found with the same class and all but the same score."""
    overlaps = box_iou(boxes, torch.from_numpy(found.boxes))
    own = torch.tensor([CLASSES.index(label) + 1 for label in found.labels])
    same = (overlaps > 0.95) & (labels[:, None] == own)
    same &= (scores[:, None] - torch.from_numpy(found.scores)).abs() < 0.01
    return same.any(dim=1).float().mean().item()


def same(one: Detections, other: Detections) -> bool:
    return (
        one.labels == other.labels
        and np.allclose(one.boxes, other.boxes, atol=0.05)
        and np.allclose(one.scores, other.scores, atol=1e-4)
        and (one.vectors * other.vectors).sum(axis=1).min() > ALIKE
    )


@pytest.mark.parametrize("architecture", [*DETECTORS, "fasterrcnn_resnet18_fpn", "maskrcnn_resnet18_fpn"])
def test_boxes_classes_and_scores_are_the_librarys(architecture: str, tmp_path: Path) -> None:
    network = network_of(architecture) if architecture in DETECTORS else network_on_resnet18(architecture)
    picture = pixels(1)
    with torch.inference_mode():
        (truth,) = network([as_tensor(picture)])
    detector = loaded(architecture, network, tmp_path)
    (found,) = detector.detect([picture], ALL)
    assert len(found) == pytest.approx(len(truth["boxes"]), rel=0.05)
    assert len(found) >= 5
    assert agreement(found, truth["boxes"], truth["scores"], truth["labels"]) > 0.9
    assert found.vectors.shape == (len(found), 1024)
    assert detector.has_masks == ("masks" in truth) == (found.masks is not None)
    assert detector.classes == CLASSES


def network_on_resnet18(architecture: str) -> torch.nn.Module:
    from torchvision.models.detection import FasterRCNN, MaskRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    torch.manual_seed(0)
    kind = FasterRCNN if architecture.startswith("faster") else MaskRCNN
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    return lively(kind(backbone, num_classes=3, min_size=32, max_size=48, box_detections_per_img=1000))


def test_the_best_score_comes_first(detector: Detector) -> None:
    (found,) = detector.detect([pixels(1)], ALL)
    assert (np.diff(found.scores) <= 0).all()


def test_vectors_are_what_the_box_head_makes_of_the_final_boxes(network: torch.nn.Module, detector: Detector) -> None:
    picture = pixels(2)
    (found,) = detector.detect([picture], ALL)
    with torch.inference_mode():
        images, _ = network.transform([as_tensor(picture)])
        scale = torch.tensor(images.image_sizes[0])[[1, 0, 1, 0]] / torch.tensor(picture.shape)[[1, 0, 1, 0]]
        boxes = [torch.from_numpy(found.boxes) * scale]
        pooled = network.roi_heads.box_roi_pool(network.backbone(images.tensors), boxes, images.image_sizes)
        truth = torch.nn.functional.normalize(network.roi_heads.box_head(pooled)).numpy()
    assert (found.vectors * truth).sum(axis=1).min() > ALIKE
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1)


def test_in_half_precision_the_same_boxes_have_all_but_the_same_vectors(detector: Detector, file: Path) -> None:
    half = load_from(NAME, file, torch.bfloat16)
    (found,) = detector.detect([pixels(1)], ALL)
    (vectors,) = half.describe_boxes([pixels(1)], [found.boxes], ALL)
    cosines = (vectors * found.vectors).sum(axis=1)
    # Depthwise convolutions of chance lose more than others.
    assert 0.995 < cosines.min() < ALIKE
    (own,) = half.detect([pixels(1)], ALL)
    assert own.boxes.dtype == own.vectors.dtype == own.scores.dtype == np.float32
    assert len(own)


def test_pictures_together_are_as_pictures_alone_whatever_their_shapes(detector: Detector) -> None:
    sizes = [(40, 32), (32, 40), (100, 32), (40, 32), (30, 25), (41, 32)]
    pictures = [pixels(seed, size) for seed, size in enumerate(sizes)]
    together = detector.detect(pictures, ALL)
    alone = [detector.detect([picture], ALL)[0] for picture in pictures]
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))
    assert not same(alone[0], alone[3])


def test_boxes_are_in_pixels_of_the_picture_and_within_it(detector: Detector) -> None:
    for size in ((300, 200), (30, 25)):
        (found,) = detector.detect([pixels(1, size)], ALL)
        assert found.boxes.min() >= 0
        assert (found.boxes.max(axis=0) <= (*size, *size)).all()
        assert found.boxes[:, 2].max() > 0.9 * size[0]
        assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()


def test_no_more_than_asked_for_the_best_of_all(detector: Detector) -> None:
    (every,) = detector.detect([pixels(1)], ALL)
    (few,) = detector.detect([pixels(1)], dataclasses.replace(ALL, max_regions=3))
    assert len(every) > 3
    assert np.array_equal(few.boxes, every.boxes[:3])
    assert (few.vectors * every.vectors[:3]).sum(axis=1).min() > ALIKE


def test_none_of_a_lower_score(detector: Detector) -> None:
    (every,) = detector.detect([pixels(1)], ALL)
    least = float(every.scores[len(every) // 2])
    (better,) = detector.detect([pixels(1)], dataclasses.replace(ALL, min_score=least))
    assert 0 < len(better) < len(every)
    assert len(better) == (every.scores >= least).sum()


def test_none_of_a_smaller_share_of_the_picture(detector: Detector) -> None:
    (every,) = detector.detect([pixels(1)], ALL)
    shares = (every.boxes[:, 2:] - every.boxes[:, :2]).prod(axis=1) / (40 * 32)
    least = float(np.median(shares)) + 1e-4
    (larger,) = detector.detect([pixels(1)], dataclasses.replace(ALL, min_area_share=least))
    assert 0 < len(larger) < len(every)
    assert np.array_equal(larger.boxes, every.boxes[shares >= least])


def test_a_picture_without_any_object_is_no_trouble(detector: Detector) -> None:
    found = detector.detect([pixels(1), pixels(2)], dataclasses.replace(ALL, min_score=1.0))
    assert len(found) == 2
    for nothing in found:
        assert (nothing.boxes.shape, nothing.vectors.shape, nothing.scores.shape) == ((0, 4), (0, 1024), (0,))
        assert list(nothing.labels) == []


def test_no_pictures(detector: Detector) -> None:
    assert detector.detect([], ALL) == []
    assert detector.describe_boxes([], [], ALL) == []


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (1, 2000), (3, 700)])
def test_no_shape_is_too_odd(detector: Detector, size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    found, beside = detector.detect([picture, pixels(1)], ALL)
    assert np.isfinite(found.vectors).all()
    assert (found.boxes <= (*size, *size)).all()
    assert same(beside, detector.detect([pixels(1)], ALL)[0])


def test_pixels_that_cannot_be_written_to_are_taken(detector: Detector) -> None:
    picture = pixels(1)
    read_only = np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape)
    assert same(detector.detect([read_only], ALL)[0], detector.detect([picture], ALL)[0])


def test_no_vectors_where_crops_are_to_be_embedded(detector: Detector) -> None:
    (crops,) = detector.detect([pixels(1)], dataclasses.replace(ALL, embedding=RegionEmbedding.CROP))
    assert len(crops) >= 5
    assert crops.vectors.shape == (len(crops), 0)


def test_whatever_the_class_the_proposals_that_are_most_of_an_object(
    network: torch.nn.Module, detector: Detector
) -> None:
    (found,) = detector.detect([pixels(1)], dataclasses.replace(ALL, class_agnostic=True))
    with torch.inference_mode():
        images, _ = network.transform([as_tensor(pixels(1))])
        (proposals,), _ = network.rpn(images, network.backbone(images.tensors))
    scale = torch.tensor(images.image_sizes[0])[[1, 0, 1, 0]] / torch.tensor([32, 40])[[1, 0, 1, 0]]
    among = box_iou(torch.from_numpy(found.boxes) * scale, proposals).amax(dim=1)
    assert (among > 0.99).float().mean() > 0.9
    # The first proposal is the library's best.
    assert box_iou(torch.from_numpy(found.boxes[:1]) * scale, proposals[:1]).item() > 0.99
    overlaps = box_iou(*[torch.from_numpy(found.boxes)] * 2).fill_diagonal_(0)
    assert overlaps.max() <= 0.5
    assert set(found.labels) == {""}
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores.min() >= 0
    assert found.vectors.shape == (len(found), 1024)


def test_a_thousand_objects_and_no_more(tmp_path: Path) -> None:
    network = network_of(NAME)
    # Boxes stay where the anchors are.
    for regression in (network.rpn.head.bbox_pred, network.roi_heads.box_predictor.bbox_pred):
        regression.weight.data.zero_()
        regression.bias.data.zero_()
    detector = loaded(NAME, network, tmp_path, min_size=200, max_size=300)
    # Nothing that is found is taken for something that was found already, or for too little.
    own = detector._network  # type: ignore[attr-defined]
    own.roi_heads.nms_thresh = own.rpn.nms_thresh = 2.0
    own.roi_heads.score_thresh = 0.0
    picture = pixels(1, (300, 200))
    (found,) = detector.detect([picture], ALL)
    assert len(found) == 1000
    (few,) = detector.detect([picture], dataclasses.replace(ALL, max_regions=20))
    assert len(few) == 20
