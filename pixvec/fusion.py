"""Several spaces' opinions of pictures into one ranking: pure functions of ranks and scores."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_RRF_K = 60
# The hit of each space that the scale of its scores begins at. One of a fixed rank, so that it does not depend on how
# many hits are asked for.
SCALE_RANK = 200
_LEAST = -1.0


class FusionMethod(StrEnum):
    """How the hits of several spaces become one list."""

    # By ranks, whatever the scores are.
    RRF = "rrf"
    # By the weighted mean of the scores, each on a scale of its space and query.
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


@dataclass(frozen=True, slots=True)
class Scale:
    """What scores of one query in one space are measured by: `best` counts as 1, `rest` as 0."""

    best: float
    rest: float

    @staticmethod
    def of(scores: Sequence[float]) -> "Scale":
        """Return that of the hits of a search, at least one, best first."""
        return Scale(scores[0], scores[min(len(scores), SCALE_RANK) - 1])

    def place(self, score: float) -> float:
        """Return a score on the scale, within -1 to 1."""
        if score >= self.best:
            return 1.0
        spread = self.best - self.rest
        return max(1 - (self.best - score) / spread, _LEAST) if spread else _LEAST


def weighted_means(
    scores: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, float],
    scales: Mapping[str, Scale],
    image_ids: Sequence[str],
) -> dict[str, float]:
    """Return the weighted mean of each image's scores over the spaces, each on the scale of the space; an image without
    a score in a space, or a space without a scale, has the least.

    CombSUM of min-max normalised scores: Lee, "Analyses of multiple evidence combination", SIGIR 1997. Spaces spread
    their scores more or less widely, and by raw scores the widest would decide alone.
    """
    total = math.fsum(weights.values())

    def placed(space: str, image_id: str) -> float:
        score = scores[space].get(image_id)
        return _LEAST if score is None or space not in scales else scales[space].place(score)

    return {
        image_id: math.fsum(weight * placed(space, image_id) for space, weight in weights.items()) / total
        for image_id in image_ids
    }


def ranked(fused: Mapping[str, float], min_score: float | None = None) -> list[tuple[str, float]]:
    """Return images with their scores in single precision, as they are reported: best first, equal ones in order of
    their ids, none below `min_score`."""
    pairs = zip(fused, array("f", fused.values()), strict=True)
    kept = pairs if min_score is None else (pair for pair in pairs if pair[1] >= min_score)
    return sorted(kept, key=lambda pair: (-pair[1], pair[0]))
