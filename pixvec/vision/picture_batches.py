"""Which pictures of different sizes a detector is given together: those that it pads to one shape.

Beside a larger picture one would be padded more, and what is found in it would be a little different: a picture's
vectors are not to depend on what else was in its batch.
"""

import math
from collections.abc import Iterator, Sequence

from PIL import Image

from pixvec.vision.preprocess import DetectorPreprocess, Pixels

# What torchvision's detectors pad the sides of pictures to.
_STRIDE = 32
# After resizing, in one batch: eight pictures as large as they usually come; more of small ones.
_PIXELS_AT_ONCE = 8 * 800 * 1344


def batches(pictures: Sequence[Pixels], preprocess: DetectorPreprocess) -> Iterator[list[int]]:
    """Yield the places of pictures that may go together, each place once."""
    alike: dict[tuple[int, int], list[int]] = {}
    for place, picture in enumerate(pictures):
        alike.setdefault(_padded(picture, preprocess), []).append(place)
    for (height, width), places in alike.items():
        most = max(1, _PIXELS_AT_ONCE // (height * width))
        for first in range(0, len(places), most):
            yield places[first : first + most]


def fitted(picture: Pixels, preprocess: DetectorPreprocess) -> Pixels:
    """Return the pixels as the detector takes them, made smaller where they are not.

    A detector would do so itself, without antialiasing, and leave nothing of a line that is one pixel wide.
    """
    height, width = picture.shape[:2]
    if picture.shape == preprocess.shape(width, height):
        return picture
    return preprocess.apply(Image.fromarray(picture))


def _padded(picture: Pixels, preprocess: DetectorPreprocess) -> tuple[int, int]:
    """Return the height and width that torchvision's detectors give a picture."""
    height, width, _ = preprocess.shape(*picture.shape[1::-1])
    scale = min(preprocess.min_size / min(height, width), preprocess.max_size / max(height, width))
    return _up(math.floor(height * scale)), _up(math.floor(width * scale))


def _up(side: int) -> int:
    return _STRIDE * math.ceil(side / _STRIDE)
