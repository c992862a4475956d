import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.errors import InvalidVector
from pixvec.index import rows as module
from pixvec.index.interfaces import SpaceSpec
from pixvec.index.rows import exact_scores, in_slices, pair_scores, prepare_rows

COSINE = SpaceSpec("image", 3, Metric.COSINE)


def test_cosine_rows_are_normalised_in_float32() -> None:
    prepared = prepare_rows(np.array([[3, 0, 4], [0, 0, 1e-30]], np.float64), COSINE)
    assert prepared.dtype == np.float32
    assert np.allclose(prepared, [[0.6, 0, 0.8], [0, 0, 1]])


def test_other_rows_are_kept() -> None:
    rows = np.array([[3, 0, 4]], np.float32)
    assert np.array_equal(prepare_rows(rows, SpaceSpec("image", 3, Metric.EUCLIDEAN)), rows)


def test_the_message_says_which_dimension_was_wanted() -> None:
    with pytest.raises(InvalidVector, match="'image' has 3 dimensions, the vector has 2") as caught:
        prepare_rows(np.ones((1, 2), np.float32), COSINE)
    assert caught.value.field == "vector"


@pytest.mark.parametrize("metric", list(Metric))
def test_a_pair_scores_the_same_in_any_company(metric: Metric) -> None:
    random = np.random.default_rng(0)
    space = SpaceSpec("image", 257, metric)
    rows = prepare_rows(random.standard_normal((100, 257)).astype(np.float32), space)
    query = prepare_rows(random.standard_normal((1, 257)).astype(np.float32), space)[0]
    together = exact_scores(metric, query, rows)
    alone = [exact_scores(metric, query, rows[place : place + 1])[0] for place in range(100)]
    assert together.tolist() == alone


def test_cosine_never_leaves_its_range() -> None:
    rows = prepare_rows(np.random.default_rng(0).random((1000, 7)).astype(np.float32), SpaceSpec("x", 7, Metric.COSINE))
    scores = [exact_scores(Metric.COSINE, row, row[None])[0] for row in rows]
    assert max(scores) <= 1


@pytest.mark.parametrize("metric", list(Metric))
def test_queries_scored_some_at_a_time_score_the_same(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, rows = (rng.standard_normal(shape).astype(np.float32) for shape in ((7, 12), (7, 5, 12)))
    together = pair_scores(metric, queries, rows)
    assert len(list(in_slices((7, 5), 12))) == 1
    for numbers, count in ((2 * 5 * 12, 4), (3 * 12, 14)):
        monkeypatch.setattr(module, "_MAX_NUMBERS", numbers)
        apart = np.empty((7, 5), np.float32)
        slices = list(in_slices((7, 5), 12))
        for some in slices:
            assert rows[some].size <= numbers
            apart[some] = pair_scores(metric, queries[some[0]], rows[some])
        assert len(slices) == count
        assert np.array_equal(apart, together)
    # A row is never cut in two.
    assert len(list(in_slices((3, 2), 100))) == 6
    assert not list(in_slices((0, 5), 12))
    assert not list(in_slices((5, 0), 12))
