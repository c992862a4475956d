"""What is done with vectors: averaged over views of the picture, projected, and all of it in the digest."""

from pathlib import Path

import numpy as np
import pytest

from pixvec.errors import InvalidRequest, WeightsUnavailable
from pixvec.vision.model_name import parse
from pixvec.vision.pca import fit_pca, save_pca
from pixvec.vision.post_processing import crops_of, post_process
from pixvec.vision.preprocess import Fit, Interpolation, Preprocess
from pixvec.vision.registry import canonical, load
from pixvec.vision.weights import WeightSource

SOURCE = WeightSource()


class Model:
    """In the place of a network: a vector is its picture, a pixel a component."""

    name, digest = "own", "ab" * 32

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess
        self.dim = preprocess.crop**2

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape[1:] == (self.preprocess.crop, self.preprocess.crop, 3)
        vectors = pixels[..., 0].reshape(len(pixels), -1).astype(np.float32) + 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pixels(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_a_name_without_steps_is_the_model_itself() -> None:
    base = Model(Preprocess(8, 8))
    assert post_process(base, parse("own"), SOURCE) is base


def test_flip_is_the_mean_of_the_picture_and_its_mirror_image() -> None:
    base = Model(Preprocess(8, 8))
    model = post_process(base, parse("own+flip"), SOURCE)
    shown = pixels(3, 8)
    truth = unit(base.embed(shown) + base.embed(shown[:, :, ::-1]))
    assert model.embed(shown) == pytest.approx(truth, abs=1e-6)
    assert model.embed(shown) == pytest.approx(model.embed(shown[:, :, ::-1]), abs=1e-6)
    assert (model.dim, model.preprocess, model.name) == (64, base.preprocess, "own+flip")


@pytest.mark.parametrize(
    ("taken", "around"),
    [
        (Preprocess(8, 8), Preprocess(9, 9)),
        (Preprocess(12, 8), Preprocess(12, 12)),
        (Preprocess(14, 14, Fit.SQUASH, Interpolation.BICUBIC), Preprocess(16, 16, Fit.SQUASH, Interpolation.BICUBIC)),
        (Preprocess(224, 224, Fit.PAD), Preprocess(256, 256, Fit.PAD)),
    ],
)
def test_crops_are_taken_of_a_larger_square(taken: Preprocess, around: Preprocess) -> None:
    base = Model(taken)
    model = post_process(base, parse("own+crops"), SOURCE)
    assert model.preprocess == around
    shown = pixels(2, around.crop)
    truth = unit(sum(base.embed(crop) for crop in crops_of(shown, taken.crop)))
    assert model.embed(shown) == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize(("count", "passes"), [(1, [10]), (3, [30]), (4, [4] * 10)])
def test_few_views_share_a_pass_and_many_do_not(count: int, passes: list[int]) -> None:
    base, given = Model(Preprocess(8, 8)), []

    class Noting(Model):
        def embed(self, pixels: np.ndarray) -> np.ndarray:
            given.append(len(pixels))
            return super().embed(pixels)

    model = post_process(Noting(Preprocess(8, 8)), parse("own+crops+flip"), SOURCE)
    shown = pixels(count, 9)
    truth = unit(sum(base.embed(crop) + base.embed(crop[:, :, ::-1]) for crop in crops_of(shown, 8)))
    assert model.embed(shown) == pytest.approx(truth, abs=1e-6)
    assert given == passes


def test_the_crops_are_the_corners_and_the_middle() -> None:
    shown = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
    firsts = [int(crop[0, 0, 0, 0]) for crop in crops_of(shown, 3)]
    assert firsts == [0, 2, 10, 12, 6]
    assert all(crop.shape == (1, 3, 3, 1) for crop in crops_of(shown, 3))


def test_crops_are_flipped_each() -> None:
    base = Model(Preprocess(8, 8))
    model = post_process(base, parse("own+crops+flip"), SOURCE)
    shown = pixels(2, 9)
    truth = unit(sum(base.embed(crop) + base.embed(crop[:, :, ::-1]) for crop in crops_of(shown, 8)))
    assert model.embed(shown) == pytest.approx(truth, abs=1e-6)


@pytest.fixture
def fitted(tmp_path: Path) -> WeightSource:
    base = Model(Preprocess(4, 4))
    save_pca(fit_pca([base.embed(pixels(60, 4))], 8), tmp_path, "own")
    (file,) = tmp_path.iterdir()
    return WeightSource({"pca:own": file}, folder=tmp_path)


def test_a_projection_is_applied_to_the_mean_of_the_views(fitted: WeightSource) -> None:
    base, shown = Model(Preprocess(4, 4)), pixels(5, 4)
    flipped = post_process(base, parse("own+flip"), fitted)
    pca = fit_pca([base.embed(pixels(60, 4))], 8)
    for step, whiten in (("pca", False), ("pcaw", True)):
        model = post_process(base, parse(f"own+{step}:own+flip"), fitted)
        assert model.embed(shown) == pytest.approx(pca.apply(flipped.embed(shown), whiten=whiten), abs=1e-5)
        assert (model.dim, model.name) == (8, f"own+flip+{step}:own")


def test_fewer_dimensions_can_be_kept(fitted: WeightSource) -> None:
    model = post_process(Model(Preprocess(4, 4)), parse("own+pca:own:3"), fitted)
    assert model.dim == 3
    assert model.embed(pixels(2, 4)).shape == (2, 3)
    assert model.embed(pixels(0, 4)).shape == (0, 3)


def test_each_step_is_in_the_digest_by_what_it_does(fitted: WeightSource) -> None:
    base = Model(Preprocess(4, 4))
    texts = ("own", "own+flip", "own+crops", "own+flip+crops", "own+pca:own", "own+pcaw:own", "own+pca:own:3")
    digests = [post_process(base, parse(text), fitted).digest for text in texts]
    assert len(set(digests)) == len(texts)
    named = post_process(base, parse("own+pca:own"), fitted).digest
    # By the file's content: not by what it is called, nor by spelling out what is kept anyway.
    stem = fitted.files["pca:own"].stem
    assert post_process(base, parse(f"own+pca:{stem}"), fitted).digest == named
    assert post_process(base, parse("own+pca:own:8"), fitted).digest == named


def test_a_projection_that_does_not_fit_the_model_is_refused(fitted: WeightSource) -> None:
    with pytest.raises(WeightsUnavailable, match="was fitted on vectors of 16, own makes vectors of 25: fit one on"):
        post_process(Model(Preprocess(5, 5)), parse("own+pca:own"), fitted)
    with pytest.raises(WeightsUnavailable, match="holds 8 components, not 9: ask for fewer"):
        post_process(Model(Preprocess(4, 4)), parse("own+pca:own:9"), fitted)
    with pytest.raises(WeightsUnavailable, match="no file for pca:other"):
        post_process(Model(Preprocess(4, 4)), parse("own+pca:other"), fitted)


def test_registered_models_are_loaded_with_their_steps() -> None:
    model = load("color-hsv+flip", SOURCE)
    assert (model.name, model.dim) == ("color-hsv+flip", 272)
    assert model.digest != load("color-hsv", SOURCE).digest
    with pytest.raises(InvalidRequest, match="color-hsv has no pooling to choose: leave \\+gem out"):
        load("color-hsv+gem", SOURCE)


def test_a_name_is_brought_into_its_canonical_form() -> None:
    assert canonical("hog+crops+flip") == "hog+flip+crops"
    with pytest.raises(InvalidRequest):
        canonical("hog+turn")
