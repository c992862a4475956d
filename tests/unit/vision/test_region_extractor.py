"""A detector with its settings: its own vectors, or those that a model of whole pictures makes of the crops."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.errors import InvalidRequest
from pixvec.vision.detector import Boxes, Detections
from pixvec.vision.extractor import Extractor, Vectors
from pixvec.vision.preprocess import DetectorPreprocess, Pixels
from pixvec.vision.region_extractor import crop, region_extractor
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.unit.vision.rcnns import pixels

ROI = RegionSettings("scripted")
CROP = dataclasses.replace(ROI, embedding=RegionEmbedding.CROP)
PICTURES = [pixels(1), pixels(2, (60, 50)), pixels(3)]
BOXES = [
    np.array([[0, 0, 20, 20], [5.5, 5.5, 30.2, 30.9]], np.float32),
    np.zeros((0, 4), np.float32),
    np.array([[10, 10, 40, 32]], np.float32),
]


class ScriptedDetector:
    """Finds what it is told to."""

    name, dim, digest, classes = "scripted", 8, "ab" * 32, ("thing",)
    preprocess = DetectorPreprocess(32, 64)

    def __init__(self, boxes: Sequence[Boxes] = BOXES, *, has_masks: bool = False) -> None:
        self.has_masks = has_masks
        self._boxes = boxes

    def detect(self, pictures: Sequence[Pixels], settings: RegionSettings) -> list[Detections]:
        assert len(pictures) == len(self._boxes)
        dim = self.dim if settings.embedding is RegionEmbedding.ROI else 0
        return [
            Detections(own, ["thing"] * len(own), np.full(len(own), 0.75, np.float32), np.ones((len(own), dim)))
            for own in self._boxes
        ]

    def describe_boxes(
        self, pictures: Sequence[Pixels], boxes: Sequence[Boxes], settings: RegionSettings
    ) -> list[Vectors]:
        return [np.full((len(own), self.dim), 0.5, np.float32) for own in boxes]


class CountingModel:
    """Another model, and how many pictures it was given at a time."""

    def __init__(self, model: Extractor) -> None:
        self.name, self.dim, self.preprocess, self.digest = model.name, model.dim, model.preprocess, model.digest
        self.batches: list[int] = []
        self._model = model

    def embed(self, pixels: Pixels) -> Vectors:
        self.batches.append(len(pixels))
        return self._model.embed(pixels)


@pytest.fixture(scope="module")
def model() -> Iterator[Extractor]:
    return load("color-lab", WeightSource())


def test_the_detectors_own_vectors() -> None:
    regions = region_extractor(ScriptedDetector(), ROI)
    assert (regions.name, regions.dim, regions.preprocess) == ("scripted", 8, DetectorPreprocess(32, 64))
    assert [len(found) for found in regions.detect(PICTURES)] == [2, 0, 1]
    drawn = regions.describe_boxes(PICTURES, BOXES)
    assert [each.vectors.shape for each in drawn] == [(2, 8), (0, 8), (1, 8)]
    assert [list(each.labels) for each in drawn] == [["", ""], [], [""]]
    assert drawn[0].scores.tolist() == [1, 1]
    assert drawn[0].masks is None


def test_crops_are_what_the_model_makes_of_the_picture_cut_to_the_box(model: Extractor) -> None:
    regions = region_extractor(ScriptedDetector(), CROP, model)
    assert regions.dim == model.dim
    for described in (regions.detect(PICTURES), regions.describe_boxes(PICTURES, BOXES)):
        assert [len(each.vectors) for each in described] == [2, 0, 1]
        for picture, own, each in zip(PICTURES, BOXES, described, strict=True):
            for box, vector in zip(own, each.vectors, strict=True):
                left, top, right, bottom = np.floor(box[:2]).tolist() + np.ceil(box[2:]).tolist()
                part = picture[int(top) : int(bottom), int(left) : int(right)]
                assert vector == pytest.approx(model.embed(model.preprocess.apply(to_picture(part))[np.newaxis])[0])


def to_picture(part: np.ndarray) -> Image.Image:
    return Image.fromarray(part)


def test_crops_keep_what_the_detector_says_of_them(model: Extractor) -> None:
    found = region_extractor(ScriptedDetector(), CROP, model).detect(PICTURES)
    assert found[0].labels == ["thing", "thing"]
    assert found[0].scores.tolist() == [0.75, 0.75]
    assert np.array_equal(found[0].boxes, BOXES[0])


def test_crops_of_all_pictures_are_embedded_in_batches(model: Extractor) -> None:
    counting = CountingModel(model)
    many = [np.tile(np.array([[0, 0, 9, 9]], np.float32), (count, 1)) for count in (50, 0, 40)]
    found = region_extractor(ScriptedDetector(many), CROP, counting).detect(PICTURES)
    assert counting.batches == [64, 26]
    assert [len(each.vectors) for each in found] == [50, 0, 40]


def test_pictures_without_any_object_need_no_model(model: Extractor) -> None:
    counting = CountingModel(model)
    found = region_extractor(ScriptedDetector([BOXES[1]] * 3), CROP, counting).detect(PICTURES)
    assert [each.vectors.shape for each in found] == [(0, model.dim)] * 3
    assert counting.batches == []
    assert region_extractor(ScriptedDetector([]), CROP, counting).detect([]) == []


@pytest.mark.parametrize("embedding", RegionEmbedding)
def test_boxes_are_cut_to_their_picture_and_refused_outside(model: Extractor, embedding: RegionEmbedding) -> None:
    regions = region_extractor(ScriptedDetector(), dataclasses.replace(ROI, embedding=embedding), model)
    (drawn,) = regions.describe_boxes([PICTURES[0]], [np.array([[-5, -5, 90, 90]], np.float32)])
    assert drawn.boxes.tolist() == [[0, 0, 40, 32]]
    with pytest.raises(InvalidRequest, match="lies outside the picture, which is 40 x 32"):
        regions.describe_boxes([PICTURES[0]], [np.array([[50, 0, 60, 9]], np.float32)])


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((0, 0, 5, 4), (5, 4)),
        ((1.9, 1.9, 3.1, 2.1), (3, 2)),
        ((2, 2, 2.001, 2.001), (1, 1)),
        ((4.5, 3.5, 5, 4), (1, 1)),
        ((4.9999999, 3.9999999, 5, 4), (1, 1)),
    ],
)
def test_a_crop_is_what_the_box_touches(box: tuple[float, ...], size: tuple[int, int]) -> None:
    part = crop(np.zeros((4, 5, 3), np.uint8), np.array(box, np.float32))
    assert part.shape == (size[1], size[0], 3)


def test_digests_tell_what_moves_vectors(model: Extractor) -> None:
    other = CountingModel(model)
    other.digest = "cd" * 32
    masked = ScriptedDetector(has_masks=True)
    digests = [
        region_extractor(masked, ROI).digest,
        region_extractor(masked, dataclasses.replace(ROI, background_out=True)).digest,
        region_extractor(masked, CROP, model).digest,
        region_extractor(masked, CROP, other).digest,
    ]
    assert len({*digests, masked.digest, model.digest}) == 6
    assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)
    limits = dataclasses.replace(ROI, min_score=0.1, max_regions=3, min_area_share=0.2, class_agnostic=True)
    assert region_extractor(masked, limits).digest == digests[0]


@pytest.mark.parametrize(
    ("settings", "has_masks", "message"),
    [
        (dataclasses.replace(ROI, background_out=True), False, "scripted makes no masks"),
        (dataclasses.replace(CROP, background_out=True), True, "background_out is for the embedding ROI"),
    ],
)
def test_a_background_that_cannot_be_left_out(
    model: Extractor, settings: RegionSettings, has_masks: bool, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        region_extractor(ScriptedDetector(has_masks=has_masks), settings, model)
    assert caught.value.field == "regions.background_out"


def test_crops_need_a_model() -> None:
    with pytest.raises(InvalidRequest, match="takes the collection's image model"):
        region_extractor(ScriptedDetector(), CROP)
