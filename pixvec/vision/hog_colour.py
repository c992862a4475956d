"""A handcrafted extractor: joint Lab colour histogram, and histograms of oriented gradients pooled at two scales.

Colours are counted over the whole picture, so a crop keeps most of them. Gradients (N. Dalal and B. Triggs, Histograms
of Oriented Gradients for Human Detection, CVPR 2005) tell apart what colours cannot: averaged over all blocks, which
survives a crop, and block by block, which does not but is exact for copies. Square roots before comparing, as in
R. Arandjelović and A. Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012.
"""

import itertools

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab
from skimage.feature import hog

from pixvec.vision.digest import model_digest
from pixvec.vision.extractor import Vectors
from pixvec.vision.preprocess import Pixels, Preprocess

_Array = npt.NDArray[np.float64]

_VERSION = 1
_LAB_BINS = (6, 18, 18)
# Nearly all of sRGB is within 60 of grey in a and b; what is beyond goes to the outermost bins.
_LAB_LEAST = np.array(((0.0,), (-60.0,), (-60.0,)))
_LAB_SPAN = np.array(((100.0,), (120.0,), (120.0,)))
_LAST_BIN = np.array(_LAB_BINS)[:, np.newaxis] - 1
_ORIENTATIONS = 8
_CELLS = 8
_BLOCK = 2
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
# How much each part tells, the colours being 1: tried on crops of 36 % of a photograph's area at JPEG quality 30, also
# in grey and brightened by 15 %.
_POOLED_WEIGHT, _GRID_WEIGHT = 1.0, 0.5


class HogColour:
    """An Extractor that needs no weights. About 3 ms a picture on one core."""

    def __init__(self, name: str, preprocess: Preprocess) -> None:
        self.name = name
        self.preprocess = preprocess
        self.digest = model_digest(name, _VERSION, "", preprocess, "square root, L2")
        self.dim = self._describe(np.zeros((preprocess.crop, preprocess.crop, 3), dtype=np.uint8)).size

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        vectors = np.zeros((len(pixels), self.dim), dtype=np.float32)
        for row, picture in enumerate(pixels):
            vectors[row] = self._describe(picture)
        return vectors

    def _describe(self, picture: Pixels) -> _Array:
        blocks = _gradient_blocks(picture)
        # Blocks overlap by a cell: every second one of either axis covers the picture once.
        grid = blocks[::_BLOCK, ::_BLOCK]
        pooled = blocks.reshape(-1, blocks.shape[2]).mean(axis=0)
        return _unit(
            np.concatenate(
                (
                    np.sqrt(lab_histogram(picture)),
                    _POOLED_WEIGHT * _unit(np.sqrt(pooled)),
                    _GRID_WEIGHT * _unit(np.sqrt(grid.ravel())),
                )
            )
        )


def lab_histogram(picture: Pixels) -> _Array:
    """Return the shares of 6 x 18 x 18 Lab colours in (h, w, 3) uint8 RGB pixels, flat; their sum is 1.

    A pixel counts towards the eight bins around it, by its nearness to each: a small change of colour, as from
    compression, then changes little.
    """
    lab = np.ascontiguousarray(rgb2lab(picture).reshape(-1, 3).T)
    place = np.clip((lab - _LAB_LEAST) / _LAB_SPAN, 0, 1) * _LAST_BIN
    lower = np.minimum(place.astype(np.intp), _LAST_BIN - 1)
    upper_share = place - lower
    shares = (1 - upper_share, upper_share)
    lowest = np.ravel_multi_index(tuple(lower), _LAB_BINS)
    histogram = np.zeros(np.prod(_LAB_BINS))
    for light, a, b in itertools.product((0, 1), repeat=3):
        bins = lowest + np.ravel_multi_index((light, a, b), _LAB_BINS)
        histogram += np.bincount(bins, shares[light][0] * shares[a][1] * shares[b][2], minlength=histogram.size)
    shares_of_all: _Array = histogram / lowest.size
    return shares_of_all


def _gradient_blocks(picture: Pixels) -> _Array:
    """Return (rows, columns, values) of the picture's overlapping blocks of gradient histograms, not negative."""
    luma = np.sqrt(picture @ _LUMA / np.float32(255))
    cell = picture.shape[0] // _CELLS
    blocks: _Array = hog(
        luma,
        orientations=_ORIENTATIONS,
        pixels_per_cell=(cell, cell),
        cells_per_block=(_BLOCK, _BLOCK),
        block_norm="L2-Hys",
        feature_vector=False,
    )
    return blocks.reshape(*blocks.shape[:2], -1)


def _unit(values: _Array) -> _Array:
    length = np.linalg.norm(values)
    unit: _Array = values / length if length > 0 else values
    return unit
