"""RootSIFT descriptors of a picture. Imports OpenCV.

D. Lowe, Distinctive image features from scale-invariant keypoints, IJCV 2004; the square roots are of R. Arandjelović
and A. Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012.
"""

import cv2
import numpy as np

from pixvec.vision.codebook import Descriptors
from pixvec.vision.preprocess import Pixels

DIM = 128
# Keypoints nearer than this to the black that fills up a square are of its border, not of the picture.
_BORDER_PIXELS = 6


class RootSift:
    """Finds at most `features` keypoints a picture, those of the most contrast. Thread-safe."""

    def __init__(self, features: int) -> None:
        self._features = features

    def describe(self, picture: Pixels) -> Descriptors:
        """Return (n, 128) float32, each row of length one, of (h, w, 3) uint8 RGB pixels. n may be 0."""
        grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
        mask = _inside(picture)
        # One a call: OpenCV's is not said to be safe for threads, and costs nothing to make.
        sift = cv2.SIFT.create(nfeatures=self._features)
        _, found = sift.detectAndCompute(grey, mask)
        if found is None:
            return np.zeros((0, DIM), np.float32)
        counts = found.astype(np.float32)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        roots: Descriptors = np.sqrt(shares)
        return roots


def _inside(picture: Pixels) -> Pixels:
    """Return a mask, 255 where the picture is, without the black rows and columns around it and a margin to them."""
    shown: Pixels = picture.max(axis=2)
    mask = np.zeros(picture.shape[:2], np.uint8)
    rows, columns = (np.flatnonzero(shown.max(axis=axis)) for axis in (1, 0))
    if rows.size:
        top, bottom = _span(rows, picture.shape[0])
        left, right = _span(columns, picture.shape[1])
        mask[top:bottom, left:right] = 255
    return mask


def _span(shown: "np.ndarray[tuple[int], np.dtype[np.intp]]", side: int) -> tuple[int, int]:
    first, last = int(shown[0]), int(shown[-1]) + 1
    return (first + _BORDER_PIXELS if first else 0), (last - _BORDER_PIXELS if last < side else side)
