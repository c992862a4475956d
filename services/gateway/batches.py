"""Answers many queries at once: plan, resolve, scatter, merge. What is done once a query or a hit is little."""

import time
from collections.abc import Sequence

import numpy as np

from pixvec.rpc.apart import put_together
from pixvec.rpc.embedder_client import EmbedderClient
from pixvec.rpc.shard_search import BatchAnswer, RankedHits, ShardSearch
from pixvec.telemetry.metrics import QUERY_SHARDS_MISSING
from services.gateway.directory import Directory
from services.gateway.gathered import Gathered
from services.gateway.planner import Plan, plan_batch
from services.gateway.query import BatchQuery, BatchQueryAnswer, Deadline, Timings
from services.gateway.resolver import QueryResolver, QueryVectors
from services.gateway.scatter import Scatter
from services.gateway.stage_times import StageTimes


class Batches:
    """The read path of batches: each searcher gets all vectors in one message."""

    def __init__(self, directory: Directory, scatter: Scatter, embedder: EmbedderClient) -> None:
        self._directory = directory
        self._scatter = scatter
        self._resolver = QueryResolver(embedder, scatter)
        self._stages = StageTimes("QueryBatch")

    async def run(self, batch: BatchQuery, deadline: Deadline) -> BatchQueryAnswer:
        """Return the answers. Raises what `Queries.run` does, with the index of the query at fault."""
        begun = time.perf_counter()
        timings = Timings()
        plan = plan_batch(batch, await self._directory.collection(batch.collection))
        vectors = await self._resolver.resolve_batch(batch, plan, deadline, timings)
        gathered = await self._gather(batch, plan, vectors, deadline, timings)
        merging = time.perf_counter()
        # Each searcher gives as many as were asked for.
        hits = batch.count * batch.limit * len(gathered.answers)
        results = await put_together(hits, merged, gathered.answers, batch.limit)
        timings.merge = time.perf_counter() - merging
        timings.total = time.perf_counter() - begun
        self._stages.observe(timings, embedded=bool(batch.images or batch.texts))
        shards_total = plan.collection.shard_count
        return BatchQueryAnswer(results, plan.space.name, shards_total, len(gathered.answered), timings)

    async def _gather(
        self, batch: BatchQuery, plan: Plan, vectors: QueryVectors, deadline: Deadline, timings: Timings
    ) -> Gathered[BatchAnswer]:
        begun = time.perf_counter()
        search = ShardSearch(
            collection_id=plan.collection.collection_id,
            shards=(),
            space=plan.space.name,
            vector=vectors.data,
            k=batch.limit,
            digest=vectors.digest,
            min_score=batch.min_score,
            wait_for=plan.wait_for,
            options=batch.options,
            rows=vectors.rows,
        )
        gathered = await self._scatter.search_batch(plan.collection, search, deadline, complete=plan.complete)
        if missing := len(gathered.missing):
            QUERY_SHARDS_MISSING.inc(missing)
        timings.search = time.perf_counter() - begun
        return gathered


def merged(answers: Sequence[BatchAnswer], k: int) -> list[RankedHits]:
    """Return the best k hits of each query over several searchers."""
    return [best_of(parts, k) for parts in zip(*(answer.results for answer in answers), strict=True)]


def best_of(parts: Sequence[RankedHits], k: int) -> RankedHits:
    """Return the best k of several lists of one query, each best first. Equal scores are in order of image ids."""
    if len(parts) == 1:
        return RankedHits(parts[0].image_ids[:k], parts[0].scores[:k], parts[0].ordinals[:k])
    ids = [image_id for part in parts for image_id in part.image_ids]
    scores = np.array([score for part in parts for score in part.scores])
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    if (ranked[1 : k + 1] == ranked[:-1][:k]).any():
        order = np.lexsort((np.array(ids), -scores))
    best = order[:k]
    chosen = best.tolist()
    ordinals = _ordinals(parts)
    return RankedHits(
        [ids[place] for place in chosen],
        scores[best].tolist(),
        [ordinals[place] for place in chosen] if ordinals else [],
    )


def _ordinals(parts: Sequence[RankedHits]) -> list[int]:
    """Return the ordinals of all hits, none where all are the first."""
    if not any(part.ordinals for part in parts):
        return []
    return [ordinal for part in parts for ordinal in part.ordinals or [0] * len(part.image_ids)]
