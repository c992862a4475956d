"""The extractor without weights: a vector is a function of its picture alone, and copies lie close together."""

import itertools

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.extractor import Extractor
from pixvec.vision.hog_colour import HogColour, lab_histogram
from pixvec.vision.models import load_hog_color
from tests.pictures import encode, make_picture


@pytest.fixture(scope="module")
def model() -> Extractor:
    return load_hog_color(None)


def seen(model: Extractor, *pictures: Image.Image, **options: object) -> np.ndarray:
    contents = [encode(picture, **(options or {"image_format": "PNG"})) for picture in pictures]
    return np.stack([decode(content, model.preprocess, DecodeLimits()).pixels for content in contents])


def test_a_batch_gives_each_picture_what_it_gets_alone(model: Extractor) -> None:
    pixels = seen(model, *(make_picture(seed) for seed in range(5)))
    together = model.embed(pixels)
    alone = np.concatenate([model.embed(pixels[row : row + 1]) for row in range(5)])
    assert np.array_equal(together, alone)


def test_vectors_have_the_registered_length_and_norm_one(model: Extractor) -> None:
    flat = [Image.new("RGB", (50, 40), colour) for colour in ("black", "white", "red")]
    vectors = model.embed(seen(model, make_picture(1), *flat))
    assert (vectors.shape, vectors.dtype) == ((4, 2488), np.float32)
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_no_pictures_give_no_vectors(model: Extractor) -> None:
    assert model.embed(np.zeros((0, 128, 128, 3), np.uint8)).shape == (0, 2488)


def test_another_instance_is_the_same_model(model: Extractor) -> None:
    other = HogColour("hog-color", model.preprocess)
    pixels = seen(model, make_picture(2))
    assert np.array_equal(other.embed(pixels), model.embed(pixels))
    assert (other.digest, other.dim) == (model.digest, model.dim)


def test_the_pixels_are_left_as_they_were(model: Extractor) -> None:
    pixels = seen(model, make_picture(2))
    before = pixels.copy()
    model.embed(pixels)
    assert np.array_equal(pixels, before)


def test_a_cropped_recompressed_copy_is_nearest_to_its_original(model: Extractor) -> None:
    originals = [make_picture(seed) for seed in range(12)]
    copies = [original.crop((16, 12, 144, 108)).resize((100, 76)) for original in originals]
    scores = model.embed(seen(model, *copies, quality=30)) @ model.embed(seen(model, *originals)).T
    assert scores.argmax(axis=1).tolist() == list(range(12))


def test_shapes_of_the_same_colours_are_told_apart(model: Extractor) -> None:
    upright = Image.new("RGB", (128, 128), "black")
    upright.paste("white", (0, 0, 64, 128))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    one, other = model.embed(seen(model, upright, lying))
    assert one @ other < 0.9


def test_the_histogram_shares_out_all_pixels() -> None:
    histogram = lab_histogram(np.asarray(make_picture(3)))
    assert histogram.shape == (6 * 18 * 18,)
    assert histogram.min() >= 0
    assert histogram.sum() == pytest.approx(1)


def test_black_and_white_lie_at_the_ends_of_lightness() -> None:
    for colour, bin_of_lightness in (("black", 0), ("white", 5)):
        histogram = lab_histogram(np.asarray(Image.new("RGB", (8, 8), colour))).reshape(6, 18, 18)
        assert histogram[bin_of_lightness].sum() == pytest.approx(1, abs=1e-3)


def test_the_histogram_does_not_ask_where_a_pixel_is() -> None:
    picture = make_picture(4)
    mirrored = picture.transpose(Image.Transpose.ROTATE_180)
    assert np.allclose(lab_histogram(np.asarray(picture)), lab_histogram(np.asarray(mirrored)), atol=1e-12)


def test_a_slightly_other_colour_has_a_slightly_other_histogram() -> None:
    shades = [np.full((4, 4, 3), (120 + step, 90, 60), np.uint8) for step in range(8)]
    histograms = [lab_histogram(shade) for shade in shades]
    steps = [np.abs(one - other).sum() for one, other in itertools.pairwise(histograms)]
    # Hard bins would give 0 and then, all at once, 2.
    assert min(steps) > 0
    assert max(steps) < 0.5
