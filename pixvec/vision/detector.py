"""What finds objects: pixels in; boxes, classes, scores, masks and vectors out. Importing this takes no torch.

A `Detector` is a loaded network; a `RegionExtractor` is what a space of regions needs: a detector, its settings, and
the model that embeds crops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pixvec.domain import Mask, RegionSettings
from pixvec.errors import InvalidRequest
from pixvec.vision.extractor import Vectors
from pixvec.vision.preprocess import DetectorPreprocess, Pixels

# (n, 4) float32: x1, y1, x2, y2 in pixels, from the upper left corner.
Boxes = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

# No detector gives more a picture, whatever the settings.
MOST_REGIONS = 1000


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in one picture, the best score first; nothing is (0, ...) arrays.

    `boxes`: (n, 4) float32 xyxy in pixels of the picture that was given, within it. `labels`: class names, each empty
    where classes are left aside or a box was given. `scores`: (n,) float32 in [0, 1]. `vectors`: (n, dim) float32,
    L2-normalised. `masks`: on the grid of the picture that was given; None of a detector that makes none.
    """

    boxes: Boxes
    labels: Sequence[str]
    scores: Scores
    vectors: Vectors
    masks: Sequence[Mask] | None = None

    def __len__(self) -> int:
        return len(self.boxes)


class Detector(Protocol):
    """A loaded network that finds objects. `digest` identifies all that moves its boxes and vectors: 64 hexadecimal
    digits. One thread at a time may use it."""

    @property
    def name(self) -> str:
        """The name it was loaded by."""
        ...

    @property
    def dim(self) -> int:
        """The length of its box head's vectors."""
        ...

    @property
    def preprocess(self) -> DetectorPreprocess:
        """The pixels it takes: pictures of different sizes."""
        ...

    @property
    def digest(self) -> str:
        """What made its vectors."""
        ...

    @property
    def classes(self) -> Sequence[str]:
        """The names of what it finds."""
        ...

    @property
    def has_masks(self) -> bool:
        """Whether it tells the pixels of an object from its background."""
        ...

    def detect(self, pictures: Sequence[Pixels], settings: RegionSettings) -> list[Detections]:
        """Return what is in each (height, width, 3) uint8 RGB picture, with the box head's vectors.

        The vectors are (n, 0) where `settings.embedding` is not ROI. A picture's answer does not depend on those beside
        it. Raises InvalidRequest where the detector cannot do what the settings ask.
        """
        ...

    def describe_boxes(
        self, pictures: Sequence[Pixels], boxes: Sequence[Boxes], settings: RegionSettings
    ) -> list[Vectors]:
        """Return the box head's (n, dim) vectors of given boxes, one array of them a picture. See `clip_boxes`."""
        ...


class RegionExtractor(Protocol):
    """What fills a space of regions. `digest`: over the detector, what of the settings
    moves a vector, and the model that embeds crops."""

    @property
    def name(self) -> str:
        """The detector's name."""
        ...

    @property
    def dim(self) -> int:
        """The length of the vectors."""
        ...

    @property
    def preprocess(self) -> DetectorPreprocess:
        """The pixels it takes: pictures of different sizes."""
        ...

    @property
    def digest(self) -> str:
        """What made the vectors."""
        ...

    @property
    def settings(self) -> RegionSettings:
        """What it was made with."""
        ...

    def detect(self, pictures: Sequence[Pixels]) -> list[Detections]:
        """Return what is in each (height, width, 3) uint8 RGB picture, with vectors of this space."""
        ...

    def describe_boxes(self, pictures: Sequence[Pixels], boxes: Sequence[Boxes]) -> list[Detections]:
        """Return the given boxes, cut to their picture, with vectors of this space: no classes, scores of 1, no masks.

        Raises InvalidRequest for a box that has nothing in its picture.
        """
        ...


def clip_boxes(boxes: Boxes, width: float, height: float) -> Boxes:
    """Return (n, 4) boxes cut to a picture. Raises InvalidRequest for one that is no box, or lies outside."""
    for x1, y1, x2, y2 in boxes.tolist():
        box = f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        if not (np.isfinite((x1, y1, x2, y2)).all() and x1 < x2 and y1 < y2):
            raise InvalidRequest(f"{box} is empty: give x1 < x2 and y1 < y2, in pixels", field="box")
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            raise InvalidRequest(
                f"{box} lies outside the picture, which is {width:g} x {height:g} pixels when upright", field="box"
            )
    most = np.array([width, height, width, height], dtype=np.float32)
    return np.clip(np.asarray(boxes, dtype=np.float32), 0, most)


def scale_boxes(boxes: Boxes, source: tuple[int, int], target: tuple[int, int]) -> Boxes:
    """Return boxes in pixels of one size of a picture in those of another. Sizes: (width, height)."""
    factors = np.array(target, dtype=np.float32) / np.array(source, dtype=np.float32)
    scaled: Boxes = (boxes * np.tile(factors, 2)).astype(np.float32)
    return scaled
