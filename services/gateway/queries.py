"""Answers queries: plan, resolve, scatter, merge, hydrate."""

import time
from collections.abc import Sequence
from dataclasses import replace

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Collection, Hit, SpaceKind
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch, best_first
from pixvec.telemetry.metrics import QUERY_SHARDS_MISSING
from services.gateway.directory import Directory
from services.gateway.fusion import FusedSearch
from services.gateway.gathered import Gathered
from services.gateway.hydration import Hydration, Place, check_size, in_time
from services.gateway.pictures import StoredPictures
from services.gateway.planner import Plan, plan_query
from services.gateway.query import Deadline, Query, QueryAnswer, Timings
from services.gateway.region_vectors import RegionResolver
from services.gateway.resolver import QueryResolver, QueryVectors
from services.gateway.scatter import Scatter
from services.gateway.stage_times import StageTimes


class Queries:
    """The read path. Where nothing is to be hydrated it touches neither the database nor a thread."""

    def __init__(
        self,
        directory: Directory,
        scatter: Scatter,
        embedder: EmbedderClient,
        images: ImageReader,
        pictures: StoredPictures,
        sql: BlockingCalls,
    ) -> None:
        self._directory = directory
        self._scatter = scatter
        self._resolver = QueryResolver(embedder, scatter)
        self._regions = RegionResolver(embedder, scatter, pictures)
        self._fused = FusedSearch(scatter, self._resolver, self._regions)
        self._hydration = Hydration(images, sql)
        self._stages = StageTimes("Query")

    async def run(self, query: Query, deadline: Deadline) -> QueryAnswer:
        """Return the answer. Raises InvalidRequest, NotFound, FailedPrecondition or Unavailable, each saying why."""
        begun = time.perf_counter()
        timings = Timings()
        collection = await self._directory.collection(query.collection)
        if query.fusion is None:
            answer = await self._searched(query, collection, deadline, timings)
        else:
            answer = await self._fused.run(query, query.fusion, collection, deadline, timings)
        if query.attributes or (query.regions and answer.of_regions):
            answer = await self._hydrated(answer, query, collection.collection_id, deadline)
        timings.total = time.perf_counter() - begun
        self._stages.observe(timings, embedded=query.embedded)
        return answer

    async def _searched(
        self, query: Query, collection: Collection, deadline: Deadline, timings: Timings
    ) -> QueryAnswer:
        plan = plan_query(query, collection)
        resolver = self._regions if query.of_region else self._resolver
        vector = await resolver.resolve(query, plan, deadline, timings)
        gathered = await self._gather(query, plan, vector, deadline, timings)
        hits = _best(gathered.answers, query, timings)
        return QueryAnswer(
            hits,
            plan.space.name,
            plan.collection.shard_count,
            len(gathered.answered),
            timings,
            of_regions=plan.space.kind is SpaceKind.REGION,
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

    async def _hydrated(self, answer: QueryAnswer, query: Query, collection_id: int, deadline: Deadline) -> QueryAnswer:
        hits, timings = answer.hits, answer.timings
        attributes, regions, places = None, None, list[Place]()
        if query.attributes:
            reading = self._hydration.attributes(collection_id, [hit.image_id for hit in hits])
            attributes = await in_time(reading, deadline.left_s, timings)
        if query.regions and answer.of_regions:
            places = [(hit.image_id, hit.ordinal) for hit in hits]
            looking = self._hydration.regions(collection_id, places, with_masks=query.masks)
            regions = await in_time(looking, deadline.left_s, timings)
        check_size([hit.image_id for hit in hits], places, attributes, regions, "limit")
        return replace(
            answer,
            attributes=attributes,
            attributes_missing=query.attributes and attributes is None,
            regions=regions,
            regions_missing=query.regions and answer.of_regions and regions is None,
        )


def _best(answers: Sequence[ShardAnswer], query: Query, timings: Timings) -> list[Hit]:
    begun = time.perf_counter()
    hits = answers[0].hits if len(answers) == 1 else best_first(hit for answer in answers for hit in answer.hits)
    hits = hits[query.offset : query.offset + query.limit]
    if query.min_score is not None:
        hits = [hit for hit in hits if hit.score >= query.min_score]
    timings.merge = time.perf_counter() - begun
    return hits
