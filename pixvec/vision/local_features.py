"""RootSIFT descriptors of a picture. Imports OpenCV.

D. Lowe, Distinctive image features from scale-invariant keypoints, IJCV 2004; the square roots are of R. Arandjelović
and A. Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pixvec.vision.codebook import Descriptors
from pixvec.vision.preprocess import Pixels

DIM = 128
# Keypoints nearer than this to the black that fills up a square are of its border, not of the picture.
_BORDER_PIXELS = 6


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """Where a picture has keypoints, (n, 2) float32 x and y in pixels, and what they look like, (n, 128) float32 of
    length one."""

    points: npt.NDArray[np.float32]
    descriptors: Descriptors


class RootSift:
    """Finds at most `features` keypoints a picture, those of the most contrast, none below `contrast`. Thread-safe."""

    def __init__(self, features: int, *, contrast: float = 0.04) -> None:
        self._features = features
        self._contrast = contrast

    def describe(self, picture: Pixels) -> Descriptors:
        """Return (n, 128) float32, each row of length one, of (h, w, 3) uint8 RGB pixels. n may be 0."""
        return self.detect(picture).descriptors

    def detect(self, picture: Pixels) -> LocalFeatures:
        """Return the descriptors with their places, of (h, w, 3) uint8 RGB pixels."""
        grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
        mask = _inside(picture)
        # One a call: OpenCV's is not said to be safe for threads, and costs nothing to make.
        sift = cv2.SIFT.create(nfeatures=self._features, contrastThreshold=self._contrast)
        keypoints, found = sift.detectAndCompute(grey, mask)
        if found is None:
            return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, DIM), np.float32))
        counts = found.astype(np.float32)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        roots: Descriptors = np.sqrt(shares)
        return LocalFeatures(np.asarray(cv2.KeyPoint.convert(keypoints), np.float32), roots)


def _inside(picture: Pixels) -> Pixels:
    """Return a mask, 255 where the picture is, without the black rows and columns around it and a margin to them."""
    # Not their greatest, which takes ten times as long: what is black is zero in all three.
    shown: Pixels = picture[..., 0] | picture[..., 1] | picture[..., 2]
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
