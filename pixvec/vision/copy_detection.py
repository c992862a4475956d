"""Whether one picture is a copy of another, whole or in part, and where in it it lies. Imports OpenCV.

Matches of RootSIFT by Lowe's ratio test (IJCV 2004), a homography by MAGSAC (D. Barath et al., MAGSAC, CVPR 2019),
and then the pixels themselves: what lies over one another has to look alike almost everywhere. Keypoints alone would
call two pictures copies that show the same logo.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pixvec.vision.local_features import LocalFeatures, RootSift
from pixvec.vision.preprocess import Pixels

# Pictures are compared at no more than so many pixels a side.
SIDE = 640
# Smaller ones are enlarged to it: their keypoints would be few.
_LEAST_SIDE = 320
_FEATURES = 1500
# Half of what is usual: a crop of a calm picture has few keypoints, and pixels have the last word here.
_CONTRAST = 0.02
_RATIO = 0.8
_REPROJECTION_PIXELS = 3.0
_LEAST_INLIERS = 8
_LEAST_INLIER_SHARE = 0.25
# How much larger or smaller than the query its copy may be, and how much it may be stretched one way.
_MOST_SCALE = 8.0
_MOST_STRETCH = 2.0
# Of one of the two pictures, what the other has to show: a copy shows all, a picture of the same place some.
_LEAST_COVERED = 0.6
# The part that both show is compared block by block.
_BLOCKS = 8
_BLOCK_PIXELS = 16
_LEAST_CORRELATION = 0.5
_LEAST_ALIKE = 0.8
# In levels of 255: a block of less is plain, and alike to a plain one of about its shade after the shades are fitted.
_PLAIN = 3.0
_SHADE = 24.0

_Matrix = npt.NDArray[np.float64]
_Floats = npt.NDArray[np.float32]
Quad = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Copy:
    """One picture found in another. `inliers`: keypoints that agree. `quad_xy`: (4, 2) float32, where the corners of
    the query lie in the candidate, from its upper left one clockwise, in shares of the candidate's width and height:
    beyond 0 to 1 where the query shows more than the candidate."""

    inliers: int
    quad_xy: Quad


@dataclass(frozen=True, slots=True)
class Look:
    """A picture as it is compared: (h, w) uint8 luminance and its keypoints in these pixels."""

    grey: Pixels
    features: LocalFeatures

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.grey.shape[1], self.grey.shape[0]


def look_at(picture: Pixels) -> Look:
    """Return what `find_copy` compares of (h, w, 3) uint8 RGB pixels of an upright picture."""
    height, width = picture.shape[:2]
    longest = max(height, width)
    scale = min(SIDE, max(longest, _LEAST_SIDE)) / longest
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    pixels = np.asarray(fitted, np.uint8)
    return Look(
        np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8),
        RootSift(_FEATURES, contrast=_CONTRAST).detect(pixels),
    )


def find_copy(query: Look, candidate: Look) -> Copy | None:
    """Return where the query lies in the candidate, or the candidate in it, None where they are no copies.

    Found: copies that were resized, turned, cropped, re-compressed, or whose colours were shifted. Not found: mirrored
    ones, crops of a few percent, and pictures with nothing on them that can be told apart.
    """
    ours, theirs = _matches(query.features, candidate.features)
    if len(ours) < _LEAST_INLIERS:
        return None
    homography, inliers = _homography(ours, theirs)
    if homography is None or inliers < max(_LEAST_INLIERS, _LEAST_INLIER_SHARE * len(ours)):
        return None
    quad = _sane_quad(homography, query.size)
    if quad is None or not _shows_the_same(query, candidate, homography, quad):
        return None
    return Copy(inliers, np.divide(quad, candidate.size, dtype=np.float32))


def _matches(query: LocalFeatures, candidate: LocalFeatures) -> tuple[_Floats, _Floats]:
    """Return (n, 2) places in either picture that look alike, and like nothing else; no place is there twice."""
    none = np.zeros((0, 2), np.float32)
    if len(query.points) < 2 or len(candidate.points) < 2:
        return none, none
    similarity = query.descriptors @ candidate.descriptors.T
    two = np.argpartition(similarity, -2, axis=1)[:, -2:]
    scores = np.take_along_axis(similarity, two, axis=1)
    first = np.take_along_axis(two, scores.argmax(axis=1, keepdims=True), axis=1)[:, 0]
    # Of vectors of length one: the square of the distance is 2 - 2 cos.
    near, far = (np.sqrt(np.maximum(0, 2 - 2 * side)) for side in (scores.max(axis=1), scores.min(axis=1)))
    mutual = similarity.argmax(axis=0)[first] == np.arange(len(first))
    kept = np.flatnonzero(mutual & (near < _RATIO * far))
    ours, theirs = query.points[kept], candidate.points[first[kept]]
    # A keypoint of two orientations is two keypoints at one place.
    _, places = np.unique(np.round(np.hstack([ours, theirs])), axis=0, return_index=True)
    return ours[places], theirs[places]


def _homography(ours: _Floats, theirs: _Floats) -> tuple[_Matrix | None, int]:
    found, mask = cv2.findHomography(ours, theirs, cv2.USAC_MAGSAC, _REPROJECTION_PIXELS, maxIters=5000)
    if found is None:
        return None, 0
    return np.asarray(found, np.float64), int(np.count_nonzero(mask))


def _sane_quad(homography: _Matrix, size: tuple[int, int]) -> Quad | None:
    """Return where the corners of a picture go, None where they do not go where a camera or an editor would put them:
    mirrored, folded, or blown out of proportion."""
    width, height = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    projected = np.hstack([corners, np.ones((4, 1))]) @ homography.T
    if np.any(projected[:, 2] * projected[0, 2] <= 0):
        return None
    quad = projected[:, :2] / projected[:, 2:]
    sides = np.roll(quad, -1, axis=0) - quad
    turned = np.roll(sides, -1, axis=0)
    if np.any(sides[:, 0] * turned[:, 1] - sides[:, 1] * turned[:, 0] <= 0):
        return None
    scales = np.hypot(*sides.T) / np.array([width, height, width, height])
    if scales.max() > _MOST_SCALE or scales.min() < 1 / _MOST_SCALE or scales.max() > _MOST_STRETCH * scales.min():
        return None
    return quad.astype(np.float32)


def _shows_the_same(query: Look, candidate: Look, homography: _Matrix, quad: Quad) -> bool:
    """Lay the smaller view over the other one and compare the pixels that both show."""
    (left, top), (right, bottom) = quad.min(axis=0).clip(0, candidate.size), quad.max(axis=0).clip(0, candidate.size)
    if right - left < 1 or bottom - top < 1:
        return False
    side = _BLOCKS * _BLOCK_PIXELS
    # Where the shared part lies in the candidate, as a small square of its own.
    across, down = side / float(right - left), side / float(bottom - top)
    square = np.array([[across, 0, -left * across], [0, down, -top * down], [0, 0, 1]])
    theirs = _warped(candidate.grey, square, side)
    ours = _warped(query.grey, square @ homography, side)
    shown = _warped(np.full_like(query.grey, 255), square @ homography, side) > 254
    shown &= _warped(np.full_like(candidate.grey, 255), square, side) > 254
    shared = np.count_nonzero(shown) / (across * down)
    if shared < _LEAST_COVERED * min(_area(quad), candidate.size[0] * candidate.size[1]):
        return False
    return _alike(ours, theirs, shown) >= _LEAST_ALIKE


def _area(quad: Quad) -> float:
    x, y = quad.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _warped(grey: Pixels, homography: _Matrix, side: int) -> _Floats:
    """Return (side, side) pixels of a picture under a homography, averaged where it shrinks the picture."""
    shrink = 1 / max(1e-6, math.sqrt(abs(float(np.linalg.det(homography[:2, :2])))))
    if shrink > 1.5:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), shrink / 2, borderType=cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.warpPerspective(grey, homography, (side, side), flags=cv2.INTER_LINEAR), np.float32)


def _alike(ours: _Floats, theirs: _Floats, shown: npt.NDArray[np.bool_]) -> float:
    """Return the share of the blocks that look alike, of those that both pictures show, 0 where there are too few."""
    if np.count_nonzero(shown) < 2 * _BLOCK_PIXELS**2:
        return 0.0
    ours = _fitted(ours, theirs, shown)
    alike = []
    for mine, other, both in zip(*(_blocks(each) for each in (ours, theirs, shown)), strict=True):
        if np.count_nonzero(both) >= both.size // 2:
            alike.append(_block_alike(mine[both], other[both]))
    return float(np.mean(alike)) if alike else 0.0


def _fitted(ours: _Floats, theirs: _Floats, shown: npt.NDArray[np.bool_]) -> _Floats:
    """Return our pixels with the brightness and the contrast of theirs."""
    mine, other = ours[shown], theirs[shown]
    gain = float(other.std()) / max(1e-6, float(mine.std()))
    fitted: _Floats = (ours - mine.mean()) * np.float32(gain) + other.mean()
    return fitted


def _blocks(square: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return (blocks, pixels) of a square picture."""
    tiled = square.reshape(_BLOCKS, _BLOCK_PIXELS, _BLOCKS, _BLOCK_PIXELS).swapaxes(1, 2)
    return tiled.reshape(_BLOCKS**2, _BLOCK_PIXELS**2)


def _block_alike(mine: _Floats, other: _Floats) -> bool:
    deviations = float(mine.std()), float(other.std())
    if max(deviations) < _PLAIN:
        return abs(float(mine.mean() - other.mean())) < _SHADE
    if min(deviations) < 1e-3:
        return False
    covariance = float(((mine - mine.mean()) * (other - other.mean())).mean())
    return covariance / (deviations[0] * deviations[1]) >= _LEAST_CORRELATION
