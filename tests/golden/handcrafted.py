"""The vectors of the handcrafted extractors: which pictures of the pipeline's they are held to, and what is stored."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixvec.vision import fitted_file
from pixvec.vision.codebook import KIND
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.local_features import DIM
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.golden.measure import summary
from tests.golden.pictures import files

# Of exact pixels: colours, shapes, nothing at all, next to nothing, and every way they may be stored.
PICTURES = (
    *("png", "palette", "grey", "alpha", "1x1", "20000x1"),
    *("cmyk", "16-bit", "16-bit-rgb", "animated-gif", "animated-png"),
    *(f"png-exif-{orientation}" for orientation in range(1, 9)),
)
PLAIN = ("hog", "color-hsv", "color-lab", "lbp")
SIFT = ("sift-bow:golden", "sift-vlad:golden")
_WORDS = 16


def extractors() -> dict[str, Extractor]:
    """Return every handcrafted extractor by name; those that need a codebook with one of plain numbers."""
    # Not k-means': where that ends is the library's art.
    x = np.arange(_WORDS * DIM, dtype=np.float64).reshape(_WORDS, DIM)
    centroids = np.square(np.sin(x * x))
    centroids = np.sqrt(centroids / centroids.sum(axis=1, keepdims=True))
    idf = 1 + np.arange(_WORDS) / _WORDS
    with tempfile.TemporaryDirectory() as folder:
        file = fitted_file.write(Path(folder), "golden", KIND, {"centroids": centroids, "idf": idf})
        source = WeightSource(dict.fromkeys(SIFT, file))
        return {name: load(name, source) for name in (*PLAIN, *SIFT)}


def measure_all(models: Mapping[str, Extractor]) -> dict[str, dict[str, Any]]:
    """Return, by extractor and picture as `NAME PICTURE`, few numbers that a change of any component moves."""
    contents = files()
    return dict(_measure(models, contents))


def _measure(models: Mapping[str, Extractor], contents: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, model in models.items():
        for picture in PICTURES:
            pixels = decode(contents[picture], model.preprocess, DecodeLimits()).pixels
            yield f"{name} {picture}", summary(model.embed(pixels[np.newaxis])[0])
