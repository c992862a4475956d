"""What hits are to the query picture, between the domain and the wire. Needs protobuf only."""

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.domain import Match, MatchKind

_KINDS: dict[MatchKind, pb.MatchKind] = {
    MatchKind.EXACT: pb.MATCH_KIND_EXACT,
    MatchKind.NEAR_DUPLICATE: pb.MATCH_KIND_NEAR_DUPLICATE,
    MatchKind.SIMILAR: pb.MATCH_KIND_SIMILAR,
}
_FROM_KIND = {wire: kind for kind, wire in _KINDS.items()}


def match_to_wire(match: Match) -> pb.Match:
    """Return a match as it travels."""
    return pb.Match(kind=_KINDS[match.kind], inliers=match.inliers, quad=[pb.Point(x=x, y=y) for x, y in match.quad])


def match_from_wire(match: pb.Match) -> Match:
    """Return a match; a kind from a newer server reads as similar."""
    quad = tuple((point.x, point.y) for point in match.quad)
    return Match(_FROM_KIND.get(match.kind, MatchKind.SIMILAR), match.inliers, quad)
