"""From an upright RGB picture to the pixels that a model takes. Normalisation is the extractor's own."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


class Fit(StrEnum):
    """How a picture of any shape becomes a square."""

    # The middle of the picture, its short side resized first; the ends of a long side are lost.
    CROP = "crop"
    # The whole picture, at the cost of its aspect ratio.
    SQUASH = "squash"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What one model takes: uint8 RGB pixels of shape (crop, crop, 3), interpolated bilinearly with antialiasing.

    `resize` is the short side in pixels before the centre crop (as torchvision's Resize and CenterCrop); it equals
    `crop` for SQUASH.
    """

    resize: int
    crop: int
    fit: Fit = Fit.CROP

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize or (self.fit is Fit.SQUASH and self.crop != self.resize):
            raise ValueError(f"no square of {self.crop} pixels can be taken from a picture resized to {self.resize}")

    def apply(self, picture: Image.Image) -> Pixels:
        """Return (crop, crop, 3) uint8 pixels of an upright RGB picture of any size."""
        side = (self.crop, self.crop)
        resized = picture.resize(side, Image.Resampling.BILINEAR, box=self._box(*picture.size))
        return np.asarray(resized)

    def to_json(self) -> str:
        """Return the canonical text of these values, which a model's digest covers."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Preprocess":
        """Return what `to_json` was called on."""
        values = json.loads(text)
        return Preprocess(values["resize"], values["crop"], Fit(values["fit"]))

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
