"""What is stored of a case: few numbers, that a change of any pixel moves."""

import hashlib
from typing import Any

import numpy as np

from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.models import load_hog_color
from pixvec.vision.preprocess import Fit, Preprocess
from tests.golden.pictures import LOSSY

PREPROCESSES = {"crop": Preprocess(232, 224), "squash": Preprocess(128, 128, Fit.SQUASH)}
MODEL = load_hog_color(None)

_CELLS = 4
_PARTS = 16


def is_exact(name: str) -> bool:
    """Whether the case's pixels are the same with every release of the codecs."""
    return not name.startswith(LOSSY)


def measure(name: str, content: bytes) -> dict[str, Any]:
    """Return the size and format, both squares of pixels, and the vector of hog-color; fit for JSON."""
    decoded = {fit: decode(content, preprocess, DecodeLimits()) for fit, preprocess in PREPROCESSES.items()}
    picture = decoded["squash"]
    measured: dict[str, Any] = {"format": picture.format, "size": [picture.width, picture.height]}
    for fit, of in decoded.items():
        measured[fit] = mean_colours(of.pixels)
        if is_exact(name):
            measured[f"{fit}_sha256"] = hashlib.sha256(of.pixels.tobytes()).hexdigest()[:16]
    vector = MODEL.embed(picture.pixels[np.newaxis])[0]
    return {**measured, **summary(vector)}


def mean_colours(pixels: np.ndarray) -> list[float]:
    """Return the mean colours of 4 x 4 cells, row by row."""
    side = pixels.shape[0] // _CELLS
    cells = pixels.reshape(_CELLS, side, _CELLS, side, 3).mean(axis=(1, 3))
    return [round(float(value), 1) for value in cells.ravel()]


def summary(vector: np.ndarray) -> dict[str, Any]:
    """Return the norm, the first and last components, and of each sixteenth its norm and its projection on a wave."""
    waves = np.sin(np.arange(1, vector.size + 1))
    parts = list(zip(np.array_split(vector, _PARTS), np.array_split(waves, _PARTS), strict=True))
    return {
        "norm": round(float(np.linalg.norm(vector)), 6),
        "ends": [round(float(value), 6) for value in (*vector[:4], *vector[-4:])],
        "parts": [round(float(np.linalg.norm(part)), 6) for part, _ in parts],
        "waves": [round(float(part @ wave / np.linalg.norm(wave)), 6) for part, wave in parts],
    }
