"""Descriptors without weights: each tells apart what it is for, and not what it is not for."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pixvec.vision.extractor import Extractor
from pixvec.vision.handcrafted import hsv_histogram, lbp_histograms
from pixvec.vision.registry import load
from pixvec.vision.weights import WeightSource
from tests.pictures import make_picture

NAMES = ("hog", "color-hsv", "color-lab", "lbp")


@pytest.fixture(scope="module")
def models() -> dict[str, Extractor]:
    return {name: load(name, WeightSource()) for name in NAMES}


def seen(model: Extractor, *pictures: Image.Image) -> np.ndarray:
    return model.embed(np.stack([model.preprocess.apply(picture) for picture in pictures]))


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_of_one_picture_alone_and_of_norm_one(models: dict[str, Extractor], name: str) -> None:
    model = models[name]
    flat = [Image.new("RGB", (50, 40), colour) for colour in ("black", "white", "red")]
    together = seen(model, make_picture(1), make_picture(2), *flat)
    assert (together.shape, together.dtype) == ((5, model.dim), np.float32)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(together[1:2], seen(model, make_picture(2)))
    assert model.embed(np.zeros((0, 128, 128, 3), np.uint8)).shape == (0, model.dim)


def test_each_kind_is_a_model_of_its_own(models: dict[str, Extractor]) -> None:
    assert len({model.digest for model in models.values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recompressed_copy_is_nearest_to_its_original(models: dict[str, Extractor], name: str) -> None:
    originals = [make_picture(seed) for seed in range(10)]
    copies = [original.resize((120, 90)).filter(ImageFilter.GaussianBlur(0.3)) for original in originals]
    scores = seen(models[name], *copies) @ seen(models[name], *originals).T
    assert (scores.argmax(axis=1) == np.arange(10)).mean() >= 0.8


def stripes(angle: int, colour: str = "white", step: int = 16) -> Image.Image:
    """Return stripes on a bright ground: none of it black, and none of it grey but what is to be white."""
    picture = Image.new("RGB", (256, 256), "teal")
    draw = ImageDraw.Draw(picture)
    for start in range(0, 256, 2 * step):
        draw.rectangle((start, 0, start + step - 1, 255), fill=colour)
    return picture.rotate(angle)


def test_gradients_tell_directions_apart_and_not_colours(models: dict[str, Extractor]) -> None:
    upright, lying, yellow = seen(models["hog"], stripes(0), stripes(90), stripes(0, "yellow"))
    assert upright @ yellow > 0.95
    assert upright @ lying < 0.5


@pytest.mark.parametrize("name", ["color-hsv", "color-lab"])
def test_colours_are_told_apart_and_not_directions(models: dict[str, Extractor], name: str) -> None:
    upright, lying, yellow = seen(models[name], stripes(0), stripes(90), stripes(0, "yellow"))
    assert upright @ lying > 0.98
    assert upright @ yellow < 0.7


def test_texture_is_told_apart_however_it_is_turned(models: dict[str, Extractor]) -> None:
    grain = np.random.default_rng(0).integers(0, 256, (128, 128, 1)).repeat(3, axis=2).astype(np.uint8)
    fine = Image.fromarray(grain)
    turned, coarse = fine.transpose(Image.Transpose.ROTATE_90), fine.resize((32, 32)).resize((128, 128))
    one, again, other = seen(models["lbp"], fine, turned, coarse)
    assert one @ again > 0.99
    assert one @ other < 0.95


def test_shares_of_hue_sum_to_one_and_greys_are_counted_apart() -> None:
    histogram = hsv_histogram(np.asarray(make_picture(3)))
    assert histogram.sum() == pytest.approx(1)
    assert histogram.min() >= 0
    grey = hsv_histogram(np.full((4, 4, 3), 128, np.uint8))
    assert grey[:256].sum() == 0
    assert grey[256 + 8] == pytest.approx(1)


def test_hues_on_either_side_of_red_are_neighbours() -> None:
    shades = [np.full((4, 4, 3), colour, np.uint8) for colour in ((255, 0, 8), (255, 8, 0), (0, 255, 0))]
    one, other, green = (np.sqrt(hsv_histogram(shade)) for shade in shades)
    assert one @ other > 0.8
    assert one @ green == 0


def test_patterns_are_shared_out_over_the_whole_and_over_each_quarter() -> None:
    histograms = lbp_histograms(np.asarray(make_picture(4, (128, 128))))
    assert histograms.size == 5 * (10 + 18 + 26)
    assert histograms.sum() == pytest.approx(3 * 2)
