"""What a search finds."""

from dataclasses import dataclass
from enum import StrEnum


class MatchKind(StrEnum):
    """What a found picture is to the query picture."""

    EXACT = "exact"
    NEAR_DUPLICATE = "near_duplicate"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class Match:
    """Whether a found picture is a copy of the query picture. `inliers`: keypoints of both that agree; `quad`: where
    the corners of the query lie in it, x and y in pixels of the upright picture, from the query's upper left corner
    clockwise: beyond its edges where the query shows more. Both for copies only."""

    kind: MatchKind
    inliers: int = 0
    quad: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One found image. A larger score is better for every metric; `ordinal`: which of its rows was found."""

    image_id: str
    score: float
    ordinal: int = 0
