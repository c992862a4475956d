"""Answers queries for whole scenes: each object of a picture by itself, and the pictures that hold all of them.

The joint ranking takes its candidates from the best hits of each object and scores every one for every object, exactly:
a picture's joint score is the mean, over the objects, of the score of its region that is most like each.
"""

import time
from dataclasses import replace

from pixvec.catalogue.interfaces import ImageReader
from pixvec.domain import Hit
from pixvec.rpc.apart import put_together
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient
from pixvec.rpc.shard_search import RankedHits, ShardSearch
from pixvec.telemetry.metrics import QUERY_SHARDS_MISSING
from services.gateway.batches import merged
from services.gateway.directory import Directory
from services.gateway.hydration import Hydration, Place, check_size, in_time
from services.gateway.joint_ranking import candidates, joint_ranking
from services.gateway.planner import Plan, plan_scene
from services.gateway.query import Deadline, Timings
from services.gateway.scatter import Scatter, StoredScores, StoredScoresQuery
from services.gateway.scene import SceneAnswer, SceneObjects, SceneQuery
from services.gateway.scene_objects import SceneResolver
from services.gateway.stage_times import StageTimes

# Hits of each object that the joint ranking begins with, whatever is asked for.
_LEAST_DEPTH = 100


class Scenes:
    """The read path of scenes."""

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
        self._resolver = SceneResolver(embedder, scatter, images, sql)
        self._hydration = Hydration(images, sql)
        self._stages = StageTimes("QueryScene")

    async def run(self, query: SceneQuery, deadline: Deadline) -> SceneAnswer:
        """Return the answer. Raises InvalidRequest, NotFound, FailedPrecondition or Unavailable, each saying why."""
        begun = time.perf_counter()
        timings = Timings()
        plan = plan_scene(query, await self._directory.collection(query.collection))
        objects = await self._resolver.resolve(query, plan, deadline, timings)
        if objects.vectors:
            answer = await self._searched(query, plan, objects, deadline, timings)
        else:
            # Nothing is asked of the shards, so nothing of them is missing.
            shards = plan.collection.shard_count
            answer = SceneAnswer(query.image_id, objects, [], [], plan.space.name, shards, shards, timings)
        answer = await self._hydrated(answer, query, plan, deadline)
        timings.total = time.perf_counter() - begun
        self._stages.observe(timings, embedded=bool(query.image))
        return answer

    async def _searched(
        self, query: SceneQuery, plan: Plan, objects: SceneObjects, deadline: Deadline, timings: Timings
    ) -> SceneAnswer:
        begun = time.perf_counter()
        depth = max(query.limit, _LEAST_DEPTH)
        search = ShardSearch(
            collection_id=plan.collection.collection_id,
            shards=(),
            space=plan.space.name,
            vector=b"".join(objects.vectors),
            k=depth,
            digest=bytes.fromhex(plan.space.digest),
            min_score=query.min_score,
            wait_for=plan.wait_for,
            options=query.options,
            rows=len(objects.vectors),
        )
        gathered = await self._scatter.search_batch(plan.collection, search, deadline, complete=plan.complete)
        timings.search = time.perf_counter() - begun
        merging = time.perf_counter()
        hits = depth * len(objects.vectors) * len(gathered.answers)
        ranked = await put_together(hits, merged, gathered.answers, depth)
        timings.merge = time.perf_counter() - merging
        scored = await self._scored(query, plan, search, ranked, deadline, timings)
        answered = len(gathered.answered - scored.missing)
        if missing := plan.collection.shard_count - answered:
            QUERY_SHARDS_MISSING.inc(missing)
        return SceneAnswer(
            query.image_id,
            objects,
            [_hits(each, query.limit) for each in ranked],
            joint_ranking(scored.found, query.limit, query.min_score),
            plan.space.name,
            plan.collection.shard_count,
            answered,
            timings,
        )

    async def _scored(
        self,
        query: SceneQuery,
        plan: Plan,
        search: ShardSearch,
        ranked: list[RankedHits],
        deadline: Deadline,
        timings: Timings,
    ) -> StoredScores:
        """Return how well pictures hold each object, of those that may hold all."""
        image_ids = candidates(ranked, query.limit)
        if not image_ids:
            return StoredScores({}, frozenset())
        begun = time.perf_counter()
        wanted = StoredScoresQuery(
            plan.collection, plan.space.name, image_ids, plan.wait_for, search.vector, search.rows, search.digest
        )
        scored = await self._scatter.scores(wanted, deadline, complete=plan.complete)
        timings.search += time.perf_counter() - begun
        return scored

    async def _hydrated(self, answer: SceneAnswer, query: SceneQuery, plan: Plan, deadline: Deadline) -> SceneAnswer:
        collection_id, timings = plan.collection.collection_id, answer.timings
        attributes, regions = None, None
        if query.attributes:
            reading = self._hydration.attributes(collection_id, list(dict.fromkeys(_image_ids(answer))))
            attributes = await in_time(reading, deadline.left_s, timings)
        if query.regions:
            looking = self._hydration.regions(
                collection_id, list(dict.fromkeys(_places(answer))), with_masks=query.masks
            )
            regions = await in_time(looking, deadline.left_s, timings)
        check_size(_image_ids(answer), _places(answer), attributes, regions, "limit or max_objects")
        return replace(
            answer,
            attributes=attributes,
            attributes_missing=query.attributes and attributes is None,
            regions=regions,
            regions_missing=query.regions and (regions is None or not answer.objects.regions_known),
        )


def _hits(ranked: RankedHits, limit: int) -> list[Hit]:
    ordinals = ranked.ordinals or [0] * len(ranked.image_ids)
    return list(map(Hit, ranked.image_ids[:limit], ranked.scores, ordinals))


def _places(answer: SceneAnswer) -> list[Place]:
    """Return every region that the answer names, as often as it does."""
    found = [(hit.image_id, hit.ordinal) for hits in answer.hits for hit in hits]
    held = [(each.image_id, ordinal) for each in answer.pictures for ordinal in each.objects.ordinals]
    return found + held


def _image_ids(answer: SceneAnswer) -> list[str]:
    """Return every image that the answer names, as often as it does."""
    return [hit.image_id for hits in answer.hits for hit in hits] + [each.image_id for each in answer.pictures]
