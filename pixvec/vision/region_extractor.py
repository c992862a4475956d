"""What fills a space of regions: a detector with its settings, and where crops are embedded, the model for them."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.errors import InvalidRequest
from pixvec.vision.detector import Boxes, Detections, Detector, RegionExtractor, clip_boxes
from pixvec.vision.digest import derived_digest
from pixvec.vision.extractor import Extractor, Vectors
from pixvec.vision.preprocess import DetectorPreprocess, Pixels

# In one pass of the model, so that its activations stay within bounds.
_CROPS_AT_ONCE = 64


def region_extractor(
    detector: Detector, settings: RegionSettings, crop_model: Extractor | None = None
) -> RegionExtractor:
    """Return the detector with these settings; `crop_model` is the collection's image model, for CROP.

    Raises InvalidRequest for a background to be left out where that cannot be done.
    """
    if settings.background_out and not detector.has_masks:
        raise InvalidRequest(
            f"{detector.name} makes no masks to tell the background by: leave background_out off, or take a Mask R-CNN",
            field="regions.background_out",
        )
    if settings.embedding is RegionEmbedding.ROI:
        return RoiRegions(detector, settings)
    if settings.background_out:
        raise InvalidRequest(
            "background_out is for the embedding ROI: leave it off where crops are embedded",
            field="regions.background_out",
        )
    if crop_model is None:
        raise InvalidRequest("to embed crops takes the collection's image model: none is given", field="regions")
    return CropRegions(detector, settings, crop_model)


class RoiRegions:
    """A RegionExtractor whose vectors are the detector's own. Settings that move no vector are not in the digest."""

    def __init__(self, detector: Detector, settings: RegionSettings) -> None:
        self.name = detector.name
        self.dim = detector.dim
        self.preprocess: DetectorPreprocess = detector.preprocess
        self.digest = derived_digest(detector.digest, ["roi", *(["background out"] if settings.background_out else [])])
        self.settings = settings
        self._detector = detector

    def detect(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Return what is in each (height, width, 3) uint8 RGB picture."""
        return self._detector.detect(pictures, self.settings)

    def describe_boxes(self, pictures: Sequence[Pixels], boxes: Sequence[Boxes]) -> list[Detections]:
        """Return the given boxes, cut to their picture. Raises InvalidRequest for one that has nothing in it."""
        inside = _inside(pictures, boxes)
        vectors = self._detector.describe_boxes(pictures, inside, self.settings)
        return [_given(own, of_picture) for own, of_picture in zip(inside, vectors, strict=True)]


class CropRegions:
    """A RegionExtractor whose vectors are what a model of whole pictures makes of the crops, batch by batch."""

    def __init__(self, detector: Detector, settings: RegionSettings, model: Extractor) -> None:
        self.name = detector.name
        self.dim = model.dim
        self.preprocess: DetectorPreprocess = detector.preprocess
        self.digest = derived_digest(detector.digest, ["crop", model.digest])
        self.settings = settings
        self._detector = detector
        self._model = model

    def detect(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Return what is in each (height, width, 3) uint8 RGB picture."""
        found = self._detector.detect(pictures, self.settings)
        vectors = self._embed(pictures, [each.boxes for each in found])
        return [dataclasses.replace(each, vectors=own) for each, own in zip(found, vectors, strict=True)]

    def describe_boxes(self, pictures: Sequence[Pixels], boxes: Sequence[Boxes]) -> list[Detections]:
        """Return the given boxes, cut to their picture. Raises InvalidRequest for one that has nothing in it."""
        inside = _inside(pictures, boxes)
        return [_given(own, each) for own, each in zip(inside, self._embed(pictures, inside), strict=True)]

    def _embed(self, pictures: Sequence[Pixels], boxes: Sequence[Boxes]) -> list[Vectors]:
        """Return (n, dim) vectors of each picture's boxes; crops of all pictures share batches."""
        places = [(number, box) for number, own in enumerate(boxes) for box in own]
        batches = [
            self._model.embed(np.stack([self._pixels(pictures[number], box) for number, box in part]))
            for part in (places[first : first + _CROPS_AT_ONCE] for first in range(0, len(places), _CROPS_AT_ONCE))
        ]
        vectors = np.concatenate([np.zeros((0, self.dim), np.float32), *batches])
        return np.split(vectors, np.cumsum([len(own) for own in boxes]))[: len(boxes)]

    def _pixels(self, picture: Pixels, box: Boxes) -> Pixels:
        return self._model.preprocess.apply(Image.fromarray(crop(picture, box)))


def crop(picture: Pixels, box: Boxes) -> Pixels:
    """Return the pixels that a box within the picture touches, at least one."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box.tolist()
    left, top = min(math.floor(x1), width - 1), min(math.floor(y1), height - 1)
    return picture[top : max(top + 1, math.ceil(y2)), left : max(left + 1, math.ceil(x2))]


def _inside(pictures: Sequence[Pixels], boxes: Sequence[Boxes]) -> list[Boxes]:
    return [clip_boxes(own, *picture.shape[1::-1]) for own, picture in zip(boxes, pictures, strict=True)]


def _given(boxes: Boxes, vectors: Vectors) -> Detections:
    return Detections(boxes, [""] * len(boxes), np.ones(len(boxes), np.float32), vectors)
