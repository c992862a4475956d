"""The square that a model sees is the one that the published transforms would give it."""

import math

import numpy as np
import pytest
from PIL import Image

from pixvec.domain import Box
from pixvec.errors import BoxOutside
from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.preprocess import (
    AnyPreprocess,
    BoxPreprocess,
    Fit,
    Interpolation,
    Preprocess,
    preprocess_from_json,
)
from tests.pictures import encode, make_picture

SHAPES = [(160, 120), (120, 160), (333, 250), (640, 200), (101, 987), (50, 40), (224, 224)]


def resized_then_cropped(picture: Image.Image, resize: int, crop: int) -> np.ndarray:
    """The plain way, as torchvision's Resize and CenterCrop: all of the picture first."""
    width, height = picture.size
    short = min(width, height)
    whole = picture.resize((resize * width // short, resize * height // short), Image.Resampling.BILINEAR)
    left, top = (round((side - crop) / 2) for side in whole.size)
    return np.asarray(whole.crop((left, top, left + crop, top + crop)))


@pytest.mark.parametrize("resize", [224, 232, 256])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_crop_is_what_resizing_and_then_cropping_gives(shape: tuple[int, int], resize: int) -> None:
    picture = make_picture(4, shape)
    difference = Preprocess(resize, 224).apply(picture).astype(int) - resized_then_cropped(picture, resize, 224)
    # The plain way rounds once between the two directions of resizing, ours once more at the edges.
    assert np.abs(difference).mean() < 0.5
    assert np.abs(difference).max() <= 16


@pytest.mark.parametrize("shape", SHAPES)
def test_a_squash_keeps_the_whole_picture(shape: tuple[int, int]) -> None:
    picture = make_picture(5, shape)
    pixels = Preprocess(128, 128, Fit.SQUASH).apply(picture)
    assert np.array_equal(pixels, np.asarray(picture.resize((128, 128), Image.Resampling.BILINEAR)))


def test_the_ends_of_a_long_picture_are_lost_to_a_crop_and_kept_by_a_squash() -> None:
    picture = Image.new("RGB", (300, 100), "black")
    picture.paste("white", (0, 0, 90, 100))
    assert Preprocess(50, 50).apply(picture).max() == 0
    assert Preprocess(50, 50, Fit.SQUASH).apply(picture).max() == 255


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (2, 3)])
@pytest.mark.parametrize("fit", Fit)
def test_any_size_gives_the_same_shape(size: tuple[int, int], fit: Fit) -> None:
    pixels = Preprocess(32, 32, fit).apply(Image.new("RGB", size, (1, 2, 3)))
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
    shown = pixels.any(axis=2)
    assert (pixels[shown] == (1, 2, 3)).all()
    assert shown.any()
    assert shown.all() or fit is Fit.PAD


@pytest.mark.parametrize("shape", SHAPES)
def test_a_padded_picture_is_whole_unbent_and_in_the_middle(shape: tuple[int, int]) -> None:
    picture = make_picture(6, shape)
    pixels = Preprocess(100, 100, Fit.PAD).apply(picture)
    width, height = (round(100 * side / max(shape)) for side in shape)
    left, top = (100 - width) // 2, (100 - height) // 2
    inner = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    assert np.array_equal(pixels[top : top + height, left : left + width], inner)
    assert pixels.sum() == inner.sum()


def test_bicubic_is_not_bilinear() -> None:
    picture = make_picture(7)
    plain, bicubic = (Preprocess(64, 64, interpolation=how).apply(picture) for how in Interpolation)
    assert not np.array_equal(plain, bicubic)
    squashed = Preprocess(64, 64, Fit.SQUASH, Interpolation.BICUBIC).apply(picture)
    assert np.array_equal(squashed, np.asarray(picture.resize((64, 64), Image.Resampling.BICUBIC)))


def test_the_text_of_bilinear_values_is_as_it_was_before_there_was_a_choice() -> None:
    assert Preprocess(232, 224).to_json() == '{"crop": 224, "fit": "crop", "resize": 232}'


@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess(232, 224),
        Preprocess(128, 128, Fit.SQUASH),
        Preprocess(128, 128, Fit.PAD),
        Preprocess(232, 224, interpolation=Interpolation.BICUBIC),
        BoxPreprocess(Box(0.5, 1, 20, 30), Preprocess(232, 224, interpolation=Interpolation.BICUBIC)),
    ],
)
def test_the_text_of_the_values_gives_them_back(preprocess: AnyPreprocess) -> None:
    assert preprocess_from_json(preprocess.to_json()) == preprocess


def test_different_values_have_different_texts() -> None:
    bicubic = Preprocess(232, 224, interpolation=Interpolation.BICUBIC)
    whole = [Preprocess(232, 232, fit) for fit in Fit]
    values = [Preprocess(232, 224), Preprocess(256, 224), bicubic, *whole]
    assert len({preprocess.to_json() for preprocess in values}) == len(values)


@pytest.mark.parametrize(
    ("resize", "crop", "fit"), [(100, 101, Fit.CROP), (10, 0, Fit.CROP), (20, 10, Fit.SQUASH), (20, 10, Fit.PAD)]
)
def test_squares_that_cannot_be_taken(resize: int, crop: int, fit: Fit) -> None:
    with pytest.raises(ValueError, match=f"no square of {crop} pixels"):
        Preprocess(resize, crop, fit)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (Box(10, 20, 50, 60), (10, 20, 50, 60)),
        (Box(10.9, 20.1, 49.1, 59.9), (10, 20, 50, 60)),
        (Box(-30, -1, 40, 500), (0, 0, 40, 120)),
        (Box(159.5, 119.5, 170, 170), (159, 119, 160, 120)),
    ],
)
def test_a_box_is_the_part_of_the_picture_that_it_touches(box: Box, cut: tuple[int, int, int, int]) -> None:
    picture, square = make_picture(4), Preprocess(32, 32, Fit.SQUASH)
    assert np.array_equal(BoxPreprocess(box, square).apply(picture), square.apply(picture.crop(cut)))


@pytest.mark.parametrize(
    "box",
    [
        Box(160, 0, 170, 50),
        Box(0, 120, 50, 130),
        Box(-9, -9, 0, 50),
        Box(-9, -9, 50, 0),
        Box(50, 50, 50, 60),
        Box(0, 60, 50, 50),
        Box(math.nan, 0, 50, 50),
    ],
)
def test_a_box_without_a_pixel_is_refused(box: Box) -> None:
    with pytest.raises(BoxOutside, match="160 x 120 pixels"):
        BoxPreprocess(box, Preprocess(32, 32)).apply(make_picture(4))


def test_a_box_is_of_the_upright_picture_at_its_full_size() -> None:
    """A large JPEG may be decoded smaller for a model, but not for a part of it."""
    picture = make_picture(5, (1600, 1200))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(picture, "JPEG", exif=exif, quality=95)
    square = Preprocess(64, 64, Fit.SQUASH)
    upright = picture.transpose(Image.Transpose.ROTATE_270)
    found = decode(content, BoxPreprocess(Box(700, 1100, 1100, 1500), square), DecodeLimits())
    truth = square.apply(upright.crop((700, 1100, 1100, 1500)))
    assert (found.width, found.height) == (1200, 1600)
    assert np.abs(found.pixels.astype(float) - truth).mean() < 3
