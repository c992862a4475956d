"""Masks as COCO writes them uncompressed: column after column, runs of pixels outside and inside in turn.

Source: the run-length encoding of the COCO API (Lin et al., Microsoft COCO, 2014).
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pixvec.domain import Mask

Inside = npt.NDArray[np.bool_]


def encode_mask(inside: Inside) -> Mask:
    """Return the runs of a (height, width) array. The first run is of pixels outside, and may be 0."""
    height, width = inside.shape
    pixels = inside.flatten(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = [0] if pixels.size and pixels[0] else []
    edges = [0, *starts, *changes.tolist(), pixels.size]
    return Mask(width, height, tuple(end - start for start, end in pairwise(edges)))


def decode_mask(mask: Mask) -> Inside:
    """Return the (height, width) array that these are the runs of. Raises ValueError where they do not add up to it."""
    if sum(mask.counts) != mask.width * mask.height:
        raise ValueError(f"runs of {sum(mask.counts)} pixels are no mask of {mask.width} x {mask.height}")
    inside = np.arange(len(mask.counts)) % 2 == 1
    return np.repeat(inside, mask.counts).reshape((mask.height, mask.width), order="F")
