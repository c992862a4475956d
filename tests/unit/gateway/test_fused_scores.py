"""Fused searches whose shards find, and do not say how well the rest fits."""

import numpy as np
import pytest

from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Metric, Space
from pixvec.errors import ShardUnavailable
from pixvec.fusion import FusedSpace, Fusion, FusionMethod
from services.gateway.query import Deadline, Query
from tests.in_loop import in_loop
from tests.unit.gateway.reading import DIM, ReadSide

IDS = [f"p/{number}" for number in range(40)]


@pytest.mark.parametrize("silent", [{"searcher-1"}, {"searcher-0", "searcher-1"}])
@pytest.mark.parametrize("method", FusionMethod)
@in_loop
async def test_shards_that_do_not_score_are_missing_and_do_not_fail_a_finished_search(monkeypatch, method, silent):
    side = ReadSide(2, 2, further=(Space("texture", "grain", 4, Metric.INNER_PRODUCT, "ff" * 32),))
    rng = np.random.default_rng(5)
    for image_id in IDS:
        side.put_vectors(image_id, image=rng.normal(size=DIM), texture=rng.normal(size=4))
    side.split()
    # The spaces find different pictures, so that each has to score what only the other found.
    monkeypatch.setattr("services.gateway.fusion._MOST_DEPTH", 5)
    score = side.searchers.score

    async def some(address, wanted, timeout_s):
        if address in silent:
            raise ShardUnavailable("busy")
        return await score(address, wanted, timeout_s)

    monkeypatch.setattr(side.searchers, "score", some)
    fusion = Fusion((FusedSpace("image"), FusedSpace("texture")), method)
    query = Query("photos", image=b"x", fusion=fusion, limit=40)
    answer = await side.queries.run(query, Deadline(10))
    assert answer.shards_answered == 2 - len(silent)
    held = {shard_of(hit.image_id, 2) for hit in answer.hits}
    # Ranks are known without scores; a mean of part of them would be none.
    assert held == ({0, 1} if method is FusionMethod.RRF else {0, 1} - {int(each[-1]) for each in silent})
