"""A detector that takes no weights: it sees what is brighter than black."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label, regionprops

from pixvec.domain import RegionEmbedding, RegionSettings
from pixvec.vision.detector import Detections
from pixvec.vision.preprocess import DetectorPreprocess

_CLASSES = ("red", "green", "blue")


def no_boxes(dim: int) -> Detections:
    nothing = np.zeros((0, 4), np.float32), [], np.zeros(0, np.float32), np.zeros((0, dim), np.float32)
    return Detections(*nothing)


@dataclass(frozen=True)
class Blobs:
    """Finds what touches, largest first: its class is its strongest channel, its vector its mean colour."""

    name: str = "blobs"
    digest: str = "b1" * 32
    preprocess: DetectorPreprocess = DetectorPreprocess(32, 64)  # noqa: RUF009
    dim: int = 3
    has_masks: bool = False
    classes: tuple[str, ...] = _CLASSES


@dataclass(frozen=True)
class BlobRegions:
    """Blobs as a space of regions has them."""

    detector: Blobs
    settings: RegionSettings
    model: object = None

    @property
    def name(self):
        return self.detector.name

    @property
    def preprocess(self):
        return self.detector.preprocess

    @property
    def dim(self):
        return self.detector.dim if self.model is None else self.model.dim

    @property
    def digest(self):
        return self.detector.digest if self.model is None else "c1" * 32

    def detect(self, pictures):
        return [self._detect(picture) for picture in pictures]

    def describe_boxes(self, pictures, boxes):
        return [self._describe(picture, each) for picture, each in zip(pictures, boxes, strict=True)]

    def _detect(self, picture):
        numbered, _ = label(picture.max(axis=2) > 40, return_num=True)
        found = sorted(regionprops(numbered), key=lambda each: -each.area)[: self.settings.max_regions]
        if not found:
            return no_boxes(self.dim)
        boxes = np.array(
            [(left, top, right, bottom) for top, left, bottom, right in (b.bbox for b in found)], np.float32
        )
        described = self._describe(picture, boxes)
        labels = [_CLASSES[int(row.argmax())] for row in _means(picture, boxes)]
        scores = np.linspace(0.9, 0.6, len(found), dtype=np.float32)
        return Detections(boxes, labels, scores, described.vectors)

    def _describe(self, picture, boxes):
        if self.model is None:
            vectors = _means(picture, boxes)
        else:
            vectors = np.concatenate([self.model.embed(_cut(picture, box)[None]) for box in boxes])
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return Detections(boxes, [""] * len(boxes), np.ones(len(boxes), np.float32), unit.astype(np.float32))


def blob_regions(detector, settings, model):
    assert (model is not None) == (settings.embedding is RegionEmbedding.CROP)
    return BlobRegions(detector, settings, model)


def _means(picture, boxes):
    return np.stack([_cut(picture, box).mean(axis=(0, 1)) for box in boxes]).astype(np.float32) + 1


def _cut(picture, box):
    left, top, right, bottom = (round(side) for side in box.tolist())
    return picture[top:bottom, left:right]
