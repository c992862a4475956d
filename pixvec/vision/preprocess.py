"""From an upright RGB picture to the pixels that a model takes. Normalisation is the extractor's own."""

import json
import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixvec.domain import Box
from pixvec.errors import BoxOutside

Pixels = npt.NDArray[np.uint8]

# The pixels of any picture must fit what a decoder has for them.
MOST_DETECTOR_SIDE = 2048
_ANY_SIDE = 2**31


class Fit(StrEnum):
    """How a picture of any shape becomes a square."""

    # The middle of the picture, its short side resized first; the ends of a long side are lost.
    CROP = "crop"
    # The whole picture, at the cost of its aspect ratio.
    SQUASH = "squash"
    # The whole picture in its aspect ratio, in the middle of a black square.
    PAD = "pad"


class Interpolation(StrEnum):
    """How pixels are made of others; always with antialiasing."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


_RESAMPLING = {
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What one model takes: uint8 RGB pixels of shape (crop, crop, 3).

    `resize` is the short side in pixels before the centre crop (as torchvision's Resize and CenterCrop); it equals
    `crop` for SQUASH and PAD.
    """

    resize: int
    crop: int
    fit: Fit = Fit.CROP
    interpolation: Interpolation = Interpolation.BILINEAR

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize or (self.fit is not Fit.CROP and self.crop != self.resize):
            raise ValueError(f"no square of {self.crop} pixels can be taken from a picture resized to {self.resize}")

    def apply(self, picture: Image.Image) -> Pixels:
        """Return (crop, crop, 3) uint8 pixels of an upright RGB picture of any size."""
        resampling = _RESAMPLING[self.interpolation]
        if self.fit is Fit.PAD:
            return np.asarray(self._padded(picture, resampling))
        side = (self.crop, self.crop)
        return np.asarray(picture.resize(side, resampling, box=self._box(*picture.size)))

    def to_json(self) -> str:
        """Return the canonical text of these values, which a model's digest covers."""
        values = asdict(self)
        # Digests made before there was a choice did not cover it.
        if self.interpolation is Interpolation.BILINEAR:
            del values["interpolation"]
        return json.dumps(values, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Preprocess":
        """Return what `to_json` was called on."""
        values = json.loads(text)
        interpolation = Interpolation(values.get("interpolation", Interpolation.BILINEAR))
        return Preprocess(values["resize"], values["crop"], Fit(values["fit"]), interpolation)

    def _padded(self, picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
        scale = self.crop / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        square = Image.new("RGB", (self.crop, self.crop))
        square.paste(picture.resize((width, height), resampling), ((self.crop - width) // 2, (self.crop - height) // 2))
        return square

    def _box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the part of the picture, in its own pixels, that becomes the square.

        Resizing this part alone gives what resizing all and then cropping gives, to the rounding of torchvision's
        Resize (the long side rounded down) and CenterCrop, without making the rest.
        """
        if self.fit is Fit.SQUASH:
            return (0, 0, width, height)
        short = min(width, height)
        resized = (self.resize * width // short, self.resize * height // short)
        scale = (width / resized[0], height / resized[1])
        left, top = (round((side - self.crop) / 2) for side in resized)
        return (
            left * scale[0],
            top * scale[1],
            min(width, (left + self.crop) * scale[0]),
            min(height, (top + self.crop) * scale[1]),
        )


@dataclass(frozen=True, slots=True)
class DetectorPreprocess:
    """What a detector takes: uint8 RGB pixels of a picture in its own shape, made smaller where it is large.

    The short side is at most `min_size` pixels and the long side at most `max_size`, as torchvision's detectors resize
    pictures; enlarging a small one is left to the detector. How much smaller: the sides of the pixels over those of the
    upright picture.
    """

    min_size: int = 800
    max_size: int = 1333

    def __post_init__(self) -> None:
        if not 1 <= self.min_size <= self.max_size <= MOST_DETECTOR_SIDE:
            raise ValueError(f"no picture has sides of {self.min_size} to {self.max_size} pixels here")

    @property
    def resize(self) -> int:
        """The short side in pixels that a picture may be decoded at, and not lose anything."""
        return self.min_size

    def shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Return the shape of the pixels of an upright picture of this size: (height, width, 3)."""
        scale = min(1.0, self.min_size / min(width, height), self.max_size / max(width, height))
        return max(1, round(height * scale)), max(1, round(width * scale)), 3

    def apply(self, picture: Image.Image) -> Pixels:
        """Return (height, width, 3) uint8 pixels of an upright RGB picture of any size."""
        height, width, _ = self.shape(*picture.size)
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))

    def to_json(self) -> str:
        """Return the canonical text of these values, which a model's digest covers."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class BoxPreprocess:
    """What a model takes of a part of a picture: the picture, upright, is cut to `box` first, in whole pixels."""

    box: Box
    preprocess: Preprocess

    @property
    def resize(self) -> int:
        """No picture may be decoded smaller than it is: how little of it the box leaves is not known before."""
        return _ANY_SIDE

    def apply(self, picture: Image.Image) -> Pixels:
        """Return (crop, crop, 3) uint8 pixels of the part of an upright RGB picture. Raises BoxOutside."""
        return self.preprocess.apply(picture.crop(_within(self.box, *picture.size)))

    def to_json(self) -> str:
        """Return the canonical text of these values."""
        return json.dumps({"box": asdict(self.box), "preprocess": self.preprocess.to_json()}, sort_keys=True)


AnyPreprocess: TypeAlias = Preprocess | DetectorPreprocess | BoxPreprocess


def preprocess_from_json(text: str) -> AnyPreprocess:
    """Return what `to_json` was called on."""
    values = json.loads(text)
    if "box" in values:
        return BoxPreprocess(Box(**values["box"]), Preprocess.from_json(values["preprocess"]))
    return DetectorPreprocess(**values) if "max_size" in values else Preprocess.from_json(text)


def _within(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the whole pixels of a picture that a box touches. Raises BoxOutside."""
    if not (box.x1 < min(box.x2, width) and box.y1 < min(box.y2, height) and box.x2 > 0 and box.y2 > 0):
        raise BoxOutside(
            f"the box ({box.x1:g}, {box.y1:g}, {box.x2:g}, {box.y2:g}) has nothing of the picture in it, which is "
            f"{width} x {height} pixels when upright: give x1 < x2 and y1 < y2 within it",
            field="box",
        )
    left, top = max(0, math.floor(box.x1)), max(0, math.floor(box.y1))
    return left, top, min(width, math.ceil(box.x2)), min(height, math.ceil(box.y2))
