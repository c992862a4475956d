"""Descriptors without weights, one kind each: oriented gradients, colours, texture. Spaces to fuse with others.

Oriented gradients: N. Dalal and B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005. Colour
histograms: M. Swain and D. Ballard, Color Indexing, IJCV 1991. Texture: T. Ojala et al., Multiresolution gray-scale and
rotation invariant texture classification with local binary patterns, PAMI 2002. Square roots before comparing, as in
R. Arandjelović and A. Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2hsv
from skimage.feature import hog, local_binary_pattern

from pixvec.vision.digest import model_digest
from pixvec.vision.extractor import Vectors
from pixvec.vision.hog_colour import lab_histogram
from pixvec.vision.normalise import unit_rows
from pixvec.vision.preprocess import Pixels, Preprocess

_Array = npt.NDArray[np.float64]

_VERSION = 1
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)
_HSV_BINS = (16, 4, 4)
_GREY_BINS = 16
# Of saturation: what is below has no hue to speak of, and is counted by how light it is.
_GREY = 0.1
_HOG_CELL, _HOG_BLOCK, _HOG_ORIENTATIONS = 16, 2, 9
# It has no types.
_patterns: Callable[..., _Array] = local_binary_pattern
# Points around a pixel, and their distance from it in pixels.
_LBP_CIRCLES = ((8, 1), (16, 2), (24, 3))
_LBP_CELLS = 2


class Handcrafted:
    """An Extractor of a function from one picture to values that are not negative, or all zero."""

    def __init__(self, name: str, preprocess: Preprocess, describe: Callable[[Pixels], _Array]) -> None:
        self.name = name
        self.preprocess = preprocess
        self.digest = model_digest(name, _VERSION, "", preprocess, "square root, L2")
        self._describe = describe
        self.dim = describe(np.zeros((preprocess.crop, preprocess.crop, 3), dtype=np.uint8)).size

    def embed(self, pixels: Pixels) -> Vectors:
        """Return (n, dim) float32, L2-normalised, of (n, crop, crop, 3) uint8 RGB pixels."""
        values = np.zeros((len(pixels), self.dim))
        for row, picture in enumerate(pixels):
            values[row] = np.sqrt(self._describe(picture))
        return unit_rows(values)


def hog_blocks(picture: Pixels) -> _Array:
    """Return the block-normalised histograms of 9 orientations in cells of 16 pixels, flat, of (h, w, 3) uint8 RGB."""
    blocks: _Array = hog(
        np.sqrt(_luma(picture) / np.float32(255)),
        orientations=_HOG_ORIENTATIONS,
        pixels_per_cell=(_HOG_CELL, _HOG_CELL),
        cells_per_block=(_HOG_BLOCK, _HOG_BLOCK),
        block_norm="L2-Hys",
    )
    return blocks


def hsv_histogram(picture: Pixels) -> _Array:
    """Return the shares of 16 hues x 4 saturations x 4 values, and of 16 greys, in (h, w, 3) uint8 RGB; their sum is 1.

    Hue is a circle, and shared out between the two nearest bins: its ends are neighbours.
    """
    # With each channel's values side by side the library takes half the time, for the same numbers.
    planes = np.ascontiguousarray(np.moveaxis(picture, -1, 0))
    hue, saturation, value = np.moveaxis(rgb2hsv(np.moveaxis(planes, 0, -1)), -1, 0).reshape(3, -1)
    colourful = saturation >= _GREY
    greys = np.bincount(_bin(value[~colourful], _GREY_BINS), minlength=_GREY_BINS)
    place = hue[colourful] * _HSV_BINS[0]
    lower = np.floor(place).astype(np.intp)
    rest = [_bin(channel[colourful], bins) for channel, bins in zip((saturation, value), _HSV_BINS[1:], strict=True)]
    colours = np.zeros(np.prod(_HSV_BINS))
    for step, share in ((0, 1 - (place - lower)), (1, place - lower)):
        bins = np.ravel_multi_index(((lower + step) % _HSV_BINS[0], *rest), _HSV_BINS)
        colours += np.bincount(bins, share, minlength=colours.size)
    shares: _Array = np.concatenate((colours, greys)) / hue.size
    return shares


def lbp_histograms(picture: Pixels) -> _Array:
    """Return the shares of the rotation-invariant uniform patterns at three scales in (h, w, 3) uint8 RGB, flat: of the
    whole picture, then of each quarter."""
    luma = np.rint(_luma(picture)).astype(np.uint8)
    parts: list[_Array] = []
    for points, radius in _LBP_CIRCLES:
        patterns = _patterns(luma, points, radius, "uniform").astype(np.intp)
        parts.append(_shares(patterns, points + 2))
        for half in np.array_split(patterns, _LBP_CELLS):
            parts.extend(_shares(cell, points + 2) / _LBP_CELLS**2 for cell in np.array_split(half, _LBP_CELLS, axis=1))
    return np.concatenate(parts)


def lab_colours(picture: Pixels) -> _Array:
    """Return the shares of 6 x 18 x 18 Lab colours in (h, w, 3) uint8 RGB, flat; their sum is 1."""
    return lab_histogram(picture)


def _luma(picture: Pixels) -> npt.NDArray[np.float32]:
    luma: npt.NDArray[np.float32] = picture @ _LUMA
    return luma


def _bin(values: _Array, bins: int) -> npt.NDArray[np.intp]:
    return np.minimum((values * bins).astype(np.intp), bins - 1)


def _shares(patterns: npt.NDArray[np.intp], bins: int) -> _Array:
    shares: _Array = np.bincount(patterns.ravel(), minlength=bins) / patterns.size
    return shares
