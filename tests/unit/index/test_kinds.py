from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.domain import IndexKind, IndexSettings, Metric, SearchOptions
from pixvec.index.building import INDEX
from pixvec.index.interfaces import DEFAULT_OPTIONS
from pixvec.index.kinds import (
    FLAT_BELOW_ROWS,
    IVF_FROM_ROWS,
    choose_kind,
    code_bytes,
    effort,
    factory,
    faiss_metric,
    training_rows,
)
from tests.unit.index.segments import BUILT_KINDS, clustered, sealed_shard, spec

AUTO = IndexSettings()
ROOM = 2**50


@pytest.mark.parametrize(
    ("rows", "bytes_a_row", "kind"),
    [
        (1, 1000, IndexKind.FLAT),
        (FLAT_BELOW_ROWS - 1, 1000, IndexKind.FLAT),
        (FLAT_BELOW_ROWS, 1000, IndexKind.HNSW),
        (FLAT_BELOW_ROWS, 350, IndexKind.FLAT),
        (IVF_FROM_ROWS - 1, 350, IndexKind.FLAT),
        (IVF_FROM_ROWS, 1000, IndexKind.HNSW),
        (IVF_FROM_ROWS, 350, IndexKind.IVF_SQ8),
        (IVF_FROM_ROWS, 130, IndexKind.IVF_RABITQ),
        (10**8, 410, IndexKind.HNSW),
        (10**8, 0, IndexKind.IVF_RABITQ),
    ],
)
def test_auto_goes_by_rows_and_memory(rows: int, bytes_a_row: int, kind: IndexKind) -> None:
    assert choose_kind(AUTO, rows, 128, budget_bytes=rows * bytes_a_row) is kind


@settings(deadline=None)
@given(st.integers(1, 10**7), st.integers(1, 4096), st.integers(0, 2**36), st.sampled_from([0, 8, 64]))
def test_auto_takes_no_more_than_it_may(rows: int, dim: int, budget: int, hnsw_m: int) -> None:
    kind = choose_kind(replace(AUTO, hnsw_m=hnsw_m), rows, dim, budget_bytes=budget)
    if kind is not IndexKind.IVF_RABITQ:
        assert rows * code_bytes(kind, dim, hnsw_m or 32) <= budget
    else:
        assert rows >= IVF_FROM_ROWS


@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_what_was_asked_for_is_built(kind: IndexKind) -> None:
    asked = IndexSettings(kind)
    assert choose_kind(asked, IVF_FROM_ROWS, 128, budget_bytes=0) is kind


@pytest.mark.parametrize("kind", [IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ])
def test_few_rows_get_a_graph_in_the_place_of_lists(kind: IndexKind) -> None:
    assert choose_kind(IndexSettings(kind), IVF_FROM_ROWS - 1, 128, budget_bytes=ROOM) is IndexKind.HNSW


@pytest.mark.parametrize("kind", [kind for kind in BUILT_KINDS if kind is not IndexKind.FLAT])
def test_an_index_takes_what_is_reckoned_with(kind: IndexKind, tmp_path: Path) -> None:
    count, dim = 4000, 64
    shard = sealed_shard(spec(kind, dim=dim, nlist=20), clustered(count, dim), tmp_path)
    (view,) = shard.view.spaces["image"].sealed
    size = next(file.size_bytes for file in view.segment.seal.files if file.name == INDEX)
    if kind in (IndexKind.IVF_SQ8, IndexKind.IVF_PQ, IndexKind.IVF_RABITQ):
        # The centroids are few beside rows that are many.
        size -= 4 * dim * 20
    assert size / count == pytest.approx(code_bytes(kind, dim), rel=0.15)


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 512, 576, 577, 2488])
@pytest.mark.parametrize("kind", [kind for kind in BUILT_KINDS if kind is not IndexKind.FLAT])
def test_every_kind_can_be_built_for_any_dimension(kind: IndexKind, dim: int) -> None:
    rows = np.random.default_rng(0).standard_normal((160, dim)).astype(np.float32)
    for metric in Metric:
        index = faiss.index_factory(dim, factory(kind, dim, len(rows), AUTO), faiss_metric(metric))
        index.train(rows)
        index.add(rows)
        assert index.ntotal == len(rows)
        _, found = index.search(rows[:2], 3)
        assert (found >= 0).all()


def test_settings_reach_the_index() -> None:
    assert factory(IndexKind.HNSW, 8, 1000, replace(AUTO, hnsw_m=17)) == "HNSW17_SQ8"
    assert factory(IndexKind.IVF_SQ8, 8, 100_000, replace(AUTO, nlist=77)) == "IVF77,SQ8"
    assert factory(IndexKind.FLAT, 8, 1000, AUTO) == ""


def test_no_more_is_trained_on_than_is_needed_or_there() -> None:
    assert training_rows(IndexKind.IVF_SQ8, 10**6, replace(AUTO, nlist=100)) == 6400
    assert training_rows(IndexKind.IVF_SQ8, 5000, replace(AUTO, nlist=100)) == 5000
    assert training_rows(IndexKind.HNSW, 10**7, AUTO) == 100_000
    assert training_rows(IndexKind.FLAT_INT8, 10, AUTO) == 10


def test_effort_is_what_was_asked_for() -> None:
    asked = SearchOptions(ef=300, nprobe=5, rescore=3.0)
    for kind in BUILT_KINDS:
        hard = effort(kind, 10, 10**6, AUTO, asked)
        assert (hard.ef, hard.nprobe, hard.rescore) == (300, 5, 3.0)


@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_effort_is_enough_for_what_is_wanted(kind: IndexKind) -> None:
    for k in (1, 10, 10_000):
        hard = effort(kind, k, 10**6, AUTO, DEFAULT_OPTIONS)
        candidates = k * max(1.0, hard.rescore)
        assert hard.ef >= candidates
        # A list of a million rows holds 250 on average.
        assert hard.nprobe * 250 >= min(candidates, 10**6)
        assert effort(kind, k, 10**6, AUTO, SearchOptions(rescore=-1)).rescore == 0
        assert effort(kind, k, 10**6, AUTO, SearchOptions(ef=1, rescore=2)).ef >= 2 * k


def test_effort_never_looks_through_more_lists_than_there_are() -> None:
    assert effort(IndexKind.IVF_SQ8, 10, 2000, AUTO, SearchOptions(nprobe=10**6)).nprobe == 2000 // 39


@pytest.mark.parametrize("kind", BUILT_KINDS)
def test_effort_asks_for_no_more_candidates_than_there_are_rows(kind: IndexKind) -> None:
    for k in (1, 7, 999, 1000):
        hard = effort(kind, k, 1000, AUTO, SearchOptions(ef=10_000, rescore=1000), live_share=0.2)
        assert hard.ef == 1000
        assert k <= int(np.float32(k) * np.float32(hard.rescore)) <= 1000


def test_more_is_looked_at_where_much_is_dead() -> None:
    whole = effort(IndexKind.HNSW, 10, 10**6, AUTO, DEFAULT_OPTIONS)
    half = effort(IndexKind.HNSW, 10, 10**6, AUTO, DEFAULT_OPTIONS, live_share=0.5)
    assert half.ef == 2 * whole.ef


@pytest.mark.parametrize(
    ("dim", "parts"), [(1, 1), (2, 1), (7, 7), (9, 3), (49, 49), (128, 64), (577, 577), (2488, 1244)]
)
def test_no_more_than_four_dimensions_share_a_code(dim: int, parts: int) -> None:
    assert factory(IndexKind.IVF_PQ, dim, 3900, AUTO) == f"IVF100,PQ{parts}x4fs"
