"""One pair of vectors, one score."""

from pathlib import Path

import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions, VectorStorage
from pixvec.index.interfaces import Change
from pixvec.index.plan import BuildPolicy
from pixvec.index.shard import Shard
from tests.unit.index.segments import EXACT, build, clustered, puts, sealed_shard, spec

DIM = 16


@pytest.mark.parametrize("kind", [IndexKind.HNSW, IndexKind.IVF_SQ8, IndexKind.FLAT_INT8])
@pytest.mark.parametrize("metric", list(Metric))
def test_a_pair_has_one_score_however_it_is_found(tmp_path: Path, kind: IndexKind, metric: Metric) -> None:
    """Compared again or not, exactly or not: to the bit, as recall is counted by scores."""
    shard = sealed_shard(spec(kind, metric, dim=DIM), clustered(1_000, DIM), tmp_path)
    queries = clustered(20, DIM, 1)
    exact = shard.search("image", queries, 1_000, options=EXACT)
    for options in (SearchOptions(), SearchOptions(rescore=-1)):
        for all_hits, hits in zip(exact, shard.search("image", queries, 10, options=options), strict=True):
            scores = dict(zip(all_hits.image_ids, all_hits.scores.tolist(), strict=True))
            assert [scores[image_id] for image_id in hits.image_ids] == hits.scores.tolist()


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("storage", list(VectorStorage))
@pytest.mark.parametrize("dim", [3, 16, 129])
def test_a_pair_has_one_score_before_and_after_it_is_sealed(
    tmp_path: Path, metric: Metric, storage: VectorStorage, dim: int
) -> None:
    shard = Shard([spec(IndexKind.HNSW, metric, storage, dim)])
    shard.apply(puts(clustered(300, dim)), 1)
    queries = clustered(20, dim, 1)
    grown = shard.search("image", queries, 300)
    build(shard, tmp_path, kind=IndexKind.HNSW)
    for options in (EXACT, SearchOptions(ef=300)):
        for before, after in zip(grown, shard.search("image", queries, 300, options=options), strict=True):
            assert after.image_ids == before.image_ids
            assert after.scores.tolist() == before.scores.tolist()
    alone = [shard.search("image", query[None], 300, options=EXACT)[0].scores.tolist() for query in queries]
    assert alone == [hits.scores.tolist() for hits in grown]


@pytest.mark.parametrize("metric", list(Metric))
def test_equal_rows_sealed_and_growing_are_in_order_of_ids(tmp_path: Path, metric: Metric) -> None:
    rows = clustered(40, 128)
    shard = Shard([spec(IndexKind.FLAT, metric, dim=128)])
    for place in range(3):
        names = [f"{'bca'[place]}-{number}" for number in range(len(rows))]
        shard.apply([Change(name, {"image": row[None]}) for name, row in zip(names, rows, strict=True)], place + 1)
        if place < 2:
            build(shard, tmp_path / f"{place}", BuildPolicy(seal_rows=1, max_segment_rows=40))
    assert len(shard.view.spaces["image"].sealed) == 2
    for hits in shard.search("image", clustered(10, 128, 1), 120):
        for first in range(0, 120, 3):
            three = hits.image_ids[first : first + 3]
            assert three == [f"{letter}-{three[0][2:]}" for letter in "abc"]
            assert len(set(hits.scores[first : first + 3].tolist())) == 1
