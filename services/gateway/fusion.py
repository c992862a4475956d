"""Answers queries of several spaces at once.

All are searched at the same time, each as it would be alone, and the lists become one. A picture that the search of a
space did not give is scored there by its stored vector where that score counts, or is told.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pixvec.catalogue.sharding import shard_of
from pixvec.domain import Collection, Hit, SpaceKind
from pixvec.fusion import SCALE_RANK, Fusion, FusionMethod, Scale, ranked, reciprocal_ranks, weighted_means
from pixvec.rpc.apart import put_together
from pixvec.rpc.shard_search import ShardAnswer, ShardSearch, best_first
from pixvec.telemetry.metrics import QUERY_SHARDS_MISSING
from services.gateway.fused_scores import FusedScores
from services.gateway.fusion_plan import FusedPlan, plan_fusion
from services.gateway.gathered import Gathered
from services.gateway.query import Deadline, Query, QueryAnswer, Timings
from services.gateway.region_vectors import RegionResolver
from services.gateway.resolver import QueryResolver, QueryVectors
from services.gateway.scatter import Scatter
from services.gateway.together import all_of

# What each space gives, times what is asked for, within bounds: see Fusion in the protos.
_DEPTH = 4
_LEAST_DEPTH = SCALE_RANK
_MOST_DEPTH = 10_000


class FusedSearch:
    """The read path of several spaces, up to hydration."""

    def __init__(self, scatter: Scatter, resolver: QueryResolver, regions: RegionResolver) -> None:
        self._scatter = scatter
        self._resolver = resolver
        self._regions = regions

    async def run(
        self, query: Query, fusion: Fusion, collection: Collection, deadline: Deadline, timings: Timings
    ) -> QueryAnswer:
        """Return the answer. Raises as `Queries.run` does."""
        plans = plan_fusion(query, fusion, collection)
        vectors = await self._resolved(plans, deadline, timings)
        begun = time.perf_counter()
        lists, answered = await self._searched(query, plans, vectors, deadline)
        scores = FusedScores(self._scatter, plans, vectors)
        for space, hits in lists.items():
            scores.take(space, hits)
        await scores.complete(_candidates(lists), [each for each in plans if _counts(each, fusion)], deadline)
        answered -= scores.missing
        lists = _of_shards(lists, answered, collection)
        candidates = _candidates(lists)
        merging = time.perf_counter()
        best = await put_together(len(plans) * len(candidates), _best, query, fusion, plans, lists, scores, candidates)
        timings.merge = time.perf_counter() - merging
        await scores.complete([hit.image_id for hit in best], plans, deadline)
        answered -= scores.missing
        if missing := collection.shard_count - len(answered):
            QUERY_SHARDS_MISSING.inc(missing)
        timings.search = time.perf_counter() - begun - timings.merge
        return _answer(best, scores, collection, answered, timings)

    async def _resolved(
        self, plans: Sequence[FusedPlan], deadline: Deadline, timings: Timings
    ) -> dict[str, QueryVectors]:
        """Return the vector of the query for each space. Spaces whose vectors are made alike share one."""
        makers = {each.source.space.digest: each for each in plans}
        clocks = [Timings() for _ in makers]
        made = await all_of(
            self._made(each, deadline, clock) for each, clock in zip(makers.values(), clocks, strict=True)
        )
        # They were made at the same time.
        timings.queue = max(clock.queue for clock in clocks)
        timings.decode = max(clock.decode for clock in clocks)
        timings.inference = max(clock.inference for clock in clocks)
        by_digest = dict(zip(makers, made, strict=True))
        return {each.name: _for_space(by_digest[each.source.space.digest], each) for each in plans}

    async def _made(self, fused: FusedPlan, deadline: Deadline, timings: Timings) -> QueryVectors:
        resolver = self._regions if fused.query.of_region else self._resolver
        return await resolver.resolve(fused.query, fused.source, deadline, timings)

    async def _searched(
        self, query: Query, plans: Sequence[FusedPlan], vectors: Mapping[str, QueryVectors], deadline: Deadline
    ) -> tuple[dict[str, list[Hit]], frozenset[int]]:
        """Return the hits of each space that has a weight, and the shards that answered for all of them. Hits of other
        shards are left out: part of their score would be missing."""
        asked = [each for each in plans if each.fused.weight > 0]
        found = await all_of(self._gather(query, each, vectors[each.name], deadline) for each in asked)
        answered = frozenset.intersection(*(frozenset(each.answered) for each in found))
        lists = {each.name: _hits(gathered, query) for each, gathered in zip(asked, found, strict=True)}
        return _of_shards(lists, answered, asked[0].plan.collection), answered

    async def _gather(
        self, query: Query, fused: FusedPlan, vector: QueryVectors, deadline: Deadline
    ) -> Gathered[ShardAnswer]:
        search = ShardSearch(
            collection_id=fused.plan.collection.collection_id,
            shards=(),
            space=fused.name,
            vector=vector.data,
            k=_depth(query),
            digest=vector.digest,
            min_score=fused.fused.min_score,
            wait_for=fused.plan.wait_for,
            options=query.options,
        )
        return await self._scatter.search(fused.plan.collection, search, deadline, complete=fused.plan.complete)


def _depth(query: Query) -> int:
    return min(max(_DEPTH * (query.offset + query.limit), _LEAST_DEPTH), _MOST_DEPTH)


def _for_space(made: QueryVectors, fused: FusedPlan) -> QueryVectors:
    """Return the vector under the digest of the space that it is for; one from outside has none."""
    return replace(made, digest=bytes.fromhex(fused.plan.space.digest)) if made.digest else made


def _counts(fused: FusedPlan, fusion: Fusion) -> bool:
    """Whether what the space says of every candidate is needed to rank them."""
    return fusion.method is FusionMethod.WEIGHTED or fused.fused.min_score is not None


def _hits(gathered: Gathered[ShardAnswer], query: Query) -> list[Hit]:
    return best_first(hit for answer in gathered.answers for hit in answer.hits)[: _depth(query)]


def _of_shards(
    lists: Mapping[str, list[Hit]], answered: frozenset[int], collection: Collection
) -> dict[str, list[Hit]]:
    """Return the hits of the shards that answered."""
    shards = collection.shard_count
    if len(answered) == shards:
        return dict(lists)
    return {space: [hit for hit in hits if shard_of(hit.image_id, shards) in answered] for space, hits in lists.items()}


def _candidates(lists: Mapping[str, Sequence[Hit]]) -> list[str]:
    return list(dict.fromkeys(hit.image_id for hits in lists.values() for hit in hits))


def _best(
    query: Query,
    fusion: Fusion,
    plans: Sequence[FusedPlan],
    lists: Mapping[str, Sequence[Hit]],
    scores: FusedScores,
    candidates: Sequence[str],
) -> list[Hit]:
    """Return the hits that are asked for, best first."""
    weights = {each.name: each.fused.weight for each in plans}
    kept = [image_id for image_id in candidates if _is_kept(image_id, fusion, plans, scores)]
    if fusion.method is FusionMethod.RRF:
        ids = {space: [hit.image_id for hit in hits] for space, hits in lists.items()}
        sums = reciprocal_ranks(ids, weights, fusion.rrf_k)
        fused = {image_id: sums[image_id] for image_id in kept}
    else:
        scales = {space: Scale.of([hit.score for hit in hits]) for space, hits in lists.items() if hits}
        fused = weighted_means(scores.by_space, weights, scales, kept)
    window = ranked(fused, query.min_score)[query.offset : query.offset + query.limit]
    return [Hit(image_id, score) for image_id, score in window]


def _is_kept(image_id: str, fusion: Fusion, plans: Sequence[FusedPlan], scores: FusedScores) -> bool:
    """Return whether a picture scores enough wherever that is asked. One that has no score in a space of whole pictures
    any more is gone."""
    for each in plans:
        score = scores.by_space[each.name].get(image_id)
        if score is None and _counts(each, fusion) and each.plan.space.kind is not SpaceKind.REGION:
            return False
        if each.fused.min_score is not None and (score is None or score < each.fused.min_score):
            return False
    return True


def _answer(
    best: Sequence[Hit],
    scores: FusedScores,
    collection: Collection,
    answered: frozenset[int],
    timings: Timings,
) -> QueryAnswer:
    return QueryAnswer(
        [replace(hit, ordinal=scores.ordinal(hit.image_id)) for hit in best],
        "",
        collection.shard_count,
        len(answered),
        timings,
        of_regions=scores.of_regions,
        scores={hit.image_id: scores.of(hit.image_id) for hit in best},
    )
