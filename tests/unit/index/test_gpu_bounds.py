"""How many rows a device is asked for, and what its answer proves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.domain import Metric
from pixvec.index.gpu import MAX_SELECTED
from pixvec.index.gpu_bounds import fetches, lost_lengths, unseen_ceilings
from pixvec.index.rows import row_lengths


@pytest.mark.parametrize(
    ("wanted", "spare", "rows", "live", "tries"),
    [
        (10, 0, 100_000, 100_000, [10, 40, 160, 640, 2048]),
        (10, 42, 100_000, 100_000, [52, 208, 832, 2048]),
        # Half of them are dead: twice as many, and a quarter to spare.
        (10, 0, 100_000, 50_000, [25, 100, 400, 1600, 2048]),
        (2000, 0, 100_000, 100_000, [2000, 2048]),
        (2000, 4000, 100_000, 100_000, [2048]),
        (2048, 0, 100_000, 100_000, [2048]),
        (2049, 0, 100_000, 100_000, []),
        # As many would be live among those that can be selected, were they spread evenly; and one more.
        (1024, 0, 100_000, 50_000, [2048]),
        (1025, 0, 100_000, 50_000, []),
        # All of them can be selected.
        (90, 0, 100, 90, [100]),
        (100, 0, 100, 90, [100]),
        (10, 0, 20, 20, [10, 20]),
        (20, 52, 20, 20, [20]),
    ],
)
def test_tries(wanted: int, spare: int, rows: int, live: int, tries: list[int]) -> None:
    assert list(fetches(wanted, spare, rows, live)) == tries


def test_what_rounding_loses() -> None:
    queries = np.array([[1.0, 2.0], [1.0, 2049.0], [1.0, 1e5]], np.float32)
    assert lost_lengths(queries, half=False).tolist() == [0, 0, 0]
    assert lost_lengths(queries, half=True).tolist() == [0, 1, np.inf]


@settings(deadline=None, max_examples=200)
@given(
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.EUCLIDEAN]),
    dim=st.integers(1, 64),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    near=st.sampled_from([1e-4, 1e-2, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_row_left_out_is_better_than_its_ceiling(
    metric: Metric, dim: int, scale: float, near: float, seed: int
) -> None:
    """By float16 queries and float32 sums, the last of which cancel where rows are near each other."""
    random = np.random.default_rng(seed)
    base = random.standard_normal(dim) * scale
    rows = (base + random.standard_normal((60, dim)) * near * scale).astype(np.float16).astype(np.float32)
    queries = (base + random.standard_normal((5, dim)) * near * scale).astype(np.float32)
    asked = queries.astype(np.float16).astype(np.float32)
    products = asked @ rows.T
    by_device = products
    if metric is Metric.EUCLIDEAN:
        by_device = (asked**2).sum(1)[:, None] + (rows**2).sum(1)[None] - 2 * products
    order = np.argsort(by_device if metric is Metric.EUCLIDEAN else -by_device, axis=1)
    last = np.take_along_axis(by_device, order[:, 9:10], axis=1)[:, 0]
    longest = float(row_lengths(rows).max())
    ceilings = unseen_ceilings(metric, queries, last, lost_lengths(queries, half=True), longest)
    for query, unseen, ceiling in zip(queries.astype(np.float64), order[:, 10:], ceilings, strict=True):
        apart, along = np.linalg.norm(rows[unseen] - query, axis=1), rows[unseen] @ query
        assert (-apart if metric is Metric.EUCLIDEAN else along).max() <= ceiling


def test_the_ceiling_tells_rows_apart_that_differ() -> None:
    query = np.array([[0.6, 0.8]], np.float32)
    lost = lost_lengths(query, half=True)
    (ceiling,) = unseen_ceilings(Metric.COSINE, query, np.array([0.9], np.float32), lost, 1.0)
    assert 0.9 < ceiling < 0.901
    (ceiling,) = unseen_ceilings(Metric.EUCLIDEAN, query, np.array([0.25], np.float32), lost, 1.0)
    assert -0.5 < ceiling < -0.499
    assert MAX_SELECTED == 2048
