import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.index.segment import FlatSegment

ROWS = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
IDS = [str(number) for number in range(50)]


def expected(metric: Metric, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if metric is Metric.EUCLIDEAN:
        return -((queries[:, None] - rows[None]) ** 2).sum(axis=2)
    return queries @ rows.T


# Above 20 queries FAISS takes another way, through a matrix product.
@pytest.mark.parametrize("count", [1, 64])
@pytest.mark.parametrize("metric", list(Metric))
def test_finds_the_nearest(metric: Metric, count: int) -> None:
    queries = np.random.default_rng(1).standard_normal((count, 16)).astype(np.float32)
    found = FlatSegment(metric, ROWS, IDS).candidates(queries, 5)
    nearness = expected(metric, queries, ROWS)
    assert np.allclose(found.nearness, -np.sort(-nearness, axis=1)[:, :5], atol=1e-4)
    assert np.allclose(np.take_along_axis(nearness, found.rows, axis=1), found.nearness, atol=1e-4)


@pytest.mark.parametrize("count", [1, 64])
@pytest.mark.parametrize("metric", list(Metric))
def test_passes_over_the_dead(metric: Metric, count: int) -> None:
    dead = np.zeros(50, np.bool_)
    dead[::3] = True
    segment = FlatSegment(metric, ROWS, IDS, dead)
    queries = np.random.default_rng(1).standard_normal((count, 16)).astype(np.float32)
    found = segment.candidates(queries, 50)
    assert segment.dead_count == 17
    assert sorted(found.rows[0].tolist()) == [-1] * 17 + np.flatnonzero(~dead).tolist()
    assert segment.live_rows().tolist() == np.flatnonzero(~dead).tolist()


def test_takes_rows_as_they_are() -> None:
    segment = FlatSegment(Metric.COSINE, ROWS, IDS)
    assert np.array_equal(segment.take(np.array([3, 1])), ROWS[[3, 1]])


def test_nothing_in_it() -> None:
    segment = FlatSegment(Metric.COSINE, ROWS[:0], [])
    assert segment.candidates(ROWS[:2], 5).rows.shape == (2, 0)
