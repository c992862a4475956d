"""Principal components: the space's own axes, few of them kept, and a file that holds nothing else."""

from pathlib import Path

import numpy as np
import pytest

from pixvec.errors import FailedPrecondition, InvalidRequest, WeightsUnavailable
from pixvec.vision import fitted_file
from pixvec.vision.pca import Pca, fit_pca, load_pca, save_pca
from pixvec.vision.weights import checked

RNG = np.random.default_rng(0)


def spread(count: int, *widths: float) -> np.ndarray:
    """Return vectors of these standard deviations along axes of chance, around a far mean."""
    turn, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(len(widths), len(widths))))
    return (RNG.normal(size=(count, len(widths))) * widths @ turn.T + 5).astype(np.float32)


@pytest.mark.parametrize("count", [500, 12], ids=["many", "fewer vectors than dimensions"])
def test_components_are_those_of_the_plain_definition(count: int) -> None:
    vectors = spread(count, *np.linspace(4, 0.1, 20))
    pca = fit_pca([vectors[:7], vectors[7:7], vectors[7:]], 5)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    assert pca.mean == pytest.approx(vectors.mean(axis=0), abs=1e-4)
    assert pca.variances == pytest.approx(values[:5] ** 2 / count, rel=1e-3)
    assert np.abs((pca.components * axes[:5]).sum(axis=1)) == pytest.approx(1, abs=1e-3)
    assert pca.components @ pca.components.T == pytest.approx(np.eye(5), abs=1e-5)


def test_projections_have_norm_one_and_whitened_ones_the_same_spread_everywhere() -> None:
    vectors = spread(2000, 9, 3, 1)
    pca = fit_pca([vectors], 3)
    plain, white = (pca.apply(vectors, whiten=whiten) for whiten in (False, True))
    for projected in (plain, white):
        assert projected.dtype == np.float32
        assert np.linalg.norm(projected, axis=1) == pytest.approx(1, abs=1e-5)
    assert plain.std(axis=0)[0] > 3 * plain.std(axis=0)[2]
    assert white.std(axis=0) == pytest.approx(np.full(3, 3**-0.5), rel=0.05)


def test_directions_without_any_spread_are_not_blown_up() -> None:
    vectors = np.concatenate((spread(100, 3, 2), np.full((100, 1), 5, np.float32)), axis=1)
    white = fit_pca([vectors], 3).apply(vectors, whiten=True)
    assert np.isfinite(white).all()
    assert np.abs(white[:, 2]).max() < 1e-2


def test_a_vector_at_the_mean_still_has_norm_one() -> None:
    pca = fit_pca([spread(100, 3, 2)], 2)
    assert np.linalg.norm(pca.apply(pca.mean[np.newaxis], whiten=False)) == pytest.approx(1)


def test_fewer_components_are_the_first_ones() -> None:
    pca = fit_pca([spread(100, 9, 3, 1)], 3)
    assert np.array_equal(pca.first(2).components, pca.components[:2])
    assert pca.apply(spread(4, 9, 3, 1), whiten=True).shape == (4, 3)


def test_a_file_gives_back_what_was_fitted(tmp_path: Path) -> None:
    pca = fit_pca([spread(100, 9, 3, 1)], 2)
    file = save_pca(pca, tmp_path, "faces")
    again = load_pca(checked(file))
    for name in ("mean", "components", "variances"):
        assert np.array_equal(getattr(again, name), getattr(pca, name))
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_is_too_much_is_sampled_from_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixvec.vision.pca._MOST_VECTORS", 50)
    batches = (
        np.full((40, 2), number, np.float32) + RNG.normal(size=(40, 2)).astype(np.float32) for number in range(9)
    )
    pca = fit_pca(batches, 1)
    assert 2 < pca.mean[0] < 6


def test_of_long_vectors_fewer_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixvec.vision.pca._MOST_BYTES", 8 * 20 * 6)
    few = spread(200, *np.linspace(4, 0.1, 20))
    # Six vectors have no more than five directions around their mean.
    assert fit_pca([few[:50], few[50:]], 5).variances[4] > 0
    with pytest.raises(FailedPrecondition, match=r"6 components of vectors of 20 take more memory .* fewer than 6"):
        fit_pca([few[:50], few[50:]], 6)


@pytest.mark.parametrize(
    ("batches", "dim", "error", "why"),
    [
        ([], 2, FailedPrecondition, "cannot be fitted on an empty collection"),
        ([np.zeros((0, 3), np.float32)], 2, FailedPrecondition, "empty collection"),
        ([np.eye(3, dtype=np.float32)], 4, InvalidRequest, "vectors of 3 have 1 to 3 components, not 4"),
        ([np.eye(3, dtype=np.float32)], 0, InvalidRequest, "not 0"),
        ([np.eye(3, dtype=np.float32)[:2]], 2, FailedPrecondition, "2 vectors have no 2 components: ingest more"),
    ],
)
def test_what_no_components_can_be_fitted_on_is_said(
    batches: list[np.ndarray], dim: int, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        fit_pca(batches, dim)


@pytest.mark.parametrize(
    ("kind", "pca", "why"),
    [
        ("codebook-1", Pca(np.ones(3), np.ones((2, 3)), np.ones(2)), "not a fitted pca-1"),
        ("pca-1", Pca(np.ones(4), np.ones((2, 3)), np.ones(2)), "components of 2 x 3 with 2 variances and a mean of 4"),
        ("pca-1", Pca(np.ones(3), np.ones((2, 3)), np.ones(3)), "with 3 variances"),
        ("pca-1", Pca(np.ones(3), np.ones((0, 3)), np.ones(0)), "components is float32 of 0 x 3"),
        ("pca-1", Pca(np.ones(3), np.full((2, 3), np.inf), np.ones(2)), "components has values that are not finite"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, kind: str, pca: Pca, why: str) -> None:
    arrays = {"mean": pca.mean, "components": pca.components, "variances": pca.variances}
    with pytest.raises(WeightsUnavailable, match=why):
        load_pca(checked(fitted_file.write(tmp_path, "own", kind, arrays)))
