"""A thumbnail is a small, upright JPEG of the same picture."""

import io

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.decode import DecodeLimits, render_thumbnail
from tests.pictures import encode, make_picture


def thumbnail(content: bytes, max_side: int = 64) -> Image.Image:
    picture = Image.open(io.BytesIO(render_thumbnail(content, max_side, DecodeLimits())))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    return picture


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((160, 120), (64, 48)),
        ((120, 160), (48, 64)),
        ((50, 30), (50, 30)),
        ((1, 1), (1, 1)),
        ((20_000, 1), (64, 1)),
        ((1, 20_000), (1, 64)),
    ],
)
def test_no_side_is_longer_than_asked_and_nothing_grows(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert thumbnail(encode(Image.new("RGB", size, "red"), "PNG")).size == expected


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_it_shows_the_picture_upright(image_format: str) -> None:
    picture = make_picture(3, (400, 300))
    exif = Image.Exif()
    exif[0x0112] = 6
    small = thumbnail(encode(picture.transpose(Image.Transpose.ROTATE_90), image_format, exif=exif))
    assert small.size == (64, 48)
    truth = np.asarray(picture.resize(small.size, Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(np.asarray(small) - truth).mean() < 6
    assert not small.getexif()


def test_transparency_becomes_white() -> None:
    small = np.asarray(thumbnail(encode(Image.new("RGBA", (80, 80), (0, 0, 0, 0)), "PNG")))
    assert small.min() > 250
