"""A hash of what a picture shows: copies that were resized, re-compressed or shifted in colour keep most of its bits.

The DCT hash of C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010 (pHash.org): the
signs of an 8 x 8 block of low frequencies of the luminance, the constant ones left out, against their median.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

BITS: Final = 64
_SIDE = 32
_BLOCK = slice(1, 9)
# Below this the frequencies are those of noise, in levels of 255: a blank page, a clear sky.
_LEAST_CONTRAST = 2.0
# How much finer than needed a picture may be when it is averaged: beyond, it is first reduced by whole numbers.
_REDUCING_GAP = 4.0


def perceptual_hash(picture: Image.Image) -> int | None:
    """Return 64 bits as an unsigned integer of an upright RGB picture, None where it shows too little to be told by.

    Two hashes are compared by the number of bits in which they differ, see `distance`.
    """
    small = picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP).convert("L")
    frequencies = (_DCT @ np.asarray(small, np.float64) @ _DCT.T)[_BLOCK, _BLOCK].ravel()
    # By Parseval's theorem what these frequencies have in them is the deviation of the pixels that they make.
    if math.sqrt(float(np.square(frequencies).sum())) / _SIDE < _LEAST_CONTRAST:
        return None
    bits = frequencies > np.median(frequencies)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def distance(one: int, other: int) -> int:
    """Return in how many of the 64 bits two hashes differ."""
    return (one ^ other).bit_count()


def _dct_matrix(side: int) -> npt.NDArray[np.float64]:
    """Return the orthonormal DCT-II of columns of `side` values."""
    row, column = np.mgrid[:side, :side]
    waves = np.cos(np.pi * (2 * column + 1) * row / (2 * side)) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return np.asarray(waves, np.float64)


_DCT = _dct_matrix(_SIDE)
