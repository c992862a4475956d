"""Which pictures hold all objects of a scene: pure functions of scores."""

from collections.abc import Mapping, Sequence

from pixvec.rpc.shard_search import RankedHits, RowScores
from services.gateway.scene import SceneHit

# Pictures that are scored for every object, for each that is asked for.
_CANDIDATES_A_HIT = 10
_LEAST_CANDIDATES = 200
# All regions of each are compared with all objects of the query.
_MOST_CANDIDATES = 2_000


def candidates(ranked: Sequence[RankedHits], limit: int) -> tuple[str, ...]:
    """Return the pictures that may be among the best `limit` for all objects together, given the hits of each.

    Of too many those are taken whose mean score can be the highest: where a picture is not among the hits of an object,
    it scores no more for it than the last of them.
    """
    most: dict[str, float] = {image_id: 0.0 for hits in ranked for image_id in hits.image_ids}
    for hits in ranked:
        scores = dict(zip(hits.image_ids, hits.scores, strict=True))
        rest = hits.scores[-1] if hits.scores else 0.0
        for image_id in most:
            most[image_id] += scores.get(image_id, rest)
    kept = min(max(_CANDIDATES_A_HIT * limit, _LEAST_CANDIDATES), _MOST_CANDIDATES)
    return tuple(sorted(most, key=lambda image_id: (-most[image_id], image_id))[:kept])


def joint_ranking(scored: Mapping[str, RowScores], limit: int, min_score: float | None) -> list[SceneHit]:
    """Return the best pictures by the mean of their scores for all objects, equal ones in order of their ids. A picture
    in which an object scores less than `min_score` does not hold it."""
    held = (
        SceneHit(image_id, sum(objects.scores) / len(objects.scores), objects)
        for image_id, objects in scored.items()
        if min_score is None or min(objects.scores) >= min_score
    )
    return sorted(held, key=lambda hit: (-hit.score, hit.image_id))[:limit]
