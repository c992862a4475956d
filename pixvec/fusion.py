"""Several spaces' opinions of pictures into one ranking: pure functions of ranks and scores."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pixvec.domain import Metric

DEFAULT_RRF_K = 60


class FusionMethod(StrEnum):
    """How the hits of several spaces become one list."""

    # By ranks, whatever the scores are.
    RRF = "rrf"
    # By the weighted mean of the scores, each brought to 0 to 1.
    WEIGHTED = "weighted"


@dataclass(frozen=True, slots=True)
class FusedSpace:
    """One space of several that are searched at once. Pictures that score below `min_score` in it are left out; one of
    weight 0 is only told of each hit."""

    space: str
    weight: float = 1.0
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Fusion:
    """Spaces that are searched at once, each named once, at least one of a weight above 0."""

    spaces: tuple[FusedSpace, ...]
    method: FusionMethod = FusionMethod.RRF
    rrf_k: int = DEFAULT_RRF_K


def reciprocal_ranks(lists: Mapping[str, Sequence[str]], weights: Mapping[str, float], k: int) -> dict[str, float]:
    """Return the sum of weight / (k + rank) of each image over the lists, one a space, each of ids, best first.

    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
    SIGIR 2009; the weights are an addition.
    """
    shares: dict[str, list[float]] = {}
    for space, image_ids in lists.items():
        for rank, image_id in enumerate(image_ids, start=1):
            shares.setdefault(image_id, []).append(weights[space] / (k + rank))
    # Exactly rounded: the order of the spaces changes nothing.
    return {image_id: math.fsum(each) for image_id, each in shares.items()}


def weighted_means(
    scores: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, float],
    metrics: Mapping[str, Metric],
    image_ids: Sequence[str],
) -> dict[str, float]:
    """Return the weighted mean of each image's scores over the spaces, brought to 0 to 1. An image without a score in a
    space has 0 there."""
    total = math.fsum(weights.values())
    return {
        image_id: math.fsum(
            weights[space] * brought_to_one(own[image_id], metrics[space])
            for space, own in scores.items()
            if image_id in own
        )
        / total
        for image_id in image_ids
    }


def brought_to_one(score: float, metric: Metric) -> float:
    """Return a score on a scale from 0 to 1, the same for every query, so that a threshold and the pages of an answer
    stay what they are. The scale is that of Milvus' WeightedRanker."""
    if metric is Metric.COSINE:
        return (1 + score) / 2
    if metric is Metric.INNER_PRODUCT:
        return 0.5 + math.atan(score) / math.pi
    return 1 + 2 * math.atan(score) / math.pi


def ranked(fused: Mapping[str, float], min_score: float | None = None) -> list[tuple[str, float]]:
    """Return images with their scores in single precision, as they are reported: best first, equal ones in order of
    their ids, none below `min_score`."""
    pairs = zip(fused, array("f", fused.values()), strict=True)
    kept = pairs if min_score is None else (pair for pair in pairs if pair[1] >= min_score)
    return sorted(kept, key=lambda pair: (-pair[1], pair[0]))
