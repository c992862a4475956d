"""One pair of vectors, one score."""

from pathlib import Path

import pytest

from pixvec.domain import IndexKind, Metric, SearchOptions
from tests.unit.index.segments import clustered, sealed_shard, spec

DIM = 16
EXACT = SearchOptions(exact=True)


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
