"""Answers queries: plan, resolve, scatter, merge, hydrate."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Attributes, Hit
from pixvec.errors import Overloaded, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch, best_first
from pixvec.telemetry.metrics import QUERY_SHARDS_MISSING
from services.gateway.directory import Directory
from services.gateway.gathered import Gathered
from services.gateway.hydration import Hydration
from services.gateway.planner import Plan, plan_query
from services.gateway.query import Deadline, Query, QueryAnswer, Timings
from services.gateway.resolver import QueryResolver, QueryVectors
from services.gateway.scatter import Scatter
from services.gateway.stage_times import StageTimes

_HYDRATE_LIMIT_S = 2.0


class Queries:
    """The read path. Without attributes it touches neither the database nor a thread."""

    def __init__(
        self,
        directory: Directory,
        scatter: Scatter,
        embedder: EmbedderClient,
        images: ImageReader,
        sql: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._scatter = scatter
        self._resolver = QueryResolver(embedder, scatter)
        self._hydration = Hydration(images, sql)
        self._stages = StageTimes("Query")

    async def run(self, query: Query, deadline: Deadline) -> QueryAnswer:
        """Return the answer. Raises InvalidRequest, NotFound, FailedPrecondition or Unavailable, each saying why."""
        begun = time.perf_counter()
        timings = Timings()
        plan = plan_query(query, await self._directory.collection(query.collection))
        vector = await self._resolver.resolve(query, plan, deadline, timings)
        gathered = await self._gather(query, plan, vector, deadline, timings)
        hits = _best(gathered.answers, query, timings)
        attributes = await self._hydrate(plan, hits, deadline, timings) if query.attributes else None
        timings.total = time.perf_counter() - begun
        self._stages.observe(timings, embedded=query.embedded)
        return QueryAnswer(
            hits,
            plan.space.name,
            plan.collection.shard_count,
            len(gathered.answered),
            timings,
            attributes,
            attributes_missing=query.attributes and attributes is None,
        )

    async def _gather(
        self, query: Query, plan: Plan, vector: QueryVectors, deadline: Deadline, timings: Timings
    ) -> Gathered[ShardAnswer]:
        begun = time.perf_counter()
        search = ShardSearch(
            collection_id=plan.collection.collection_id,
            shards=(),
            space=plan.space.name,
            vector=vector.data,
            k=query.offset + query.limit,
            digest=vector.digest,
            min_score=query.min_score,
            wait_for=plan.wait_for,
            options=query.options,
        )
        gathered = await self._scatter.search(plan.collection, search, deadline, complete=plan.complete)
        if missing := len(gathered.missing):
            QUERY_SHARDS_MISSING.inc(missing)
        timings.search = time.perf_counter() - begun
        return gathered

    async def _hydrate(
        self, plan: Plan, hits: Sequence[Hit], deadline: Deadline, timings: Timings
    ) -> Mapping[str, Attributes] | None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(min(_HYDRATE_LIMIT_S, deadline.left_s)):
                return await self._hydration.attributes(plan.collection.collection_id, [hit.image_id for hit in hits])
        except (Unavailable, Overloaded, TimeoutError):
            return None
        finally:
            timings.hydrate = time.perf_counter() - begun


def _best(answers: Sequence[ShardAnswer], query: Query, timings: Timings) -> list[Hit]:
    begun = time.perf_counter()
    hits = answers[0].hits if len(answers) == 1 else best_first(hit for answer in answers for hit in answer.hits)
    hits = hits[query.offset : query.offset + query.limit]
    if query.min_score is not None:
        hits = [hit for hit in hits if hit.score >= query.min_score]
    timings.merge = time.perf_counter() - begun
    return hits
