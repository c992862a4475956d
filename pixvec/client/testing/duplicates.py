"""FindDuplicates over the fake store: a picture lies in another whose bytes hold all of its own, or the other way."""

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client.testing.store import StoredCollection, StoredImage, cosine, embed

# What the fake server takes every picture to measure, in pixels.
SIDE = 100


def duplicates_response(
    collection: StoredCollection, content: bytes, request: pb.FindDuplicatesRequest
) -> pb.FindDuplicatesResponse:
    """Return exact duplicates, near ones, and similar pictures by score."""
    others = [image for image in collection.images.values() if image.message.image_id != request.image_id]
    hits = [duplicate_hit(content, image) for image in others]
    if request.HasField("min_score"):
        hits = [hit for hit in hits if hit.match.kind != pb.MATCH_KIND_SIMILAR or hit.score >= request.min_score]
    hits.sort(key=lambda hit: (hit.match.kind, -hit.match.inliers, -hit.score, hit.image_id))
    return pb.FindDuplicatesResponse(
        hits=hits[: request.limit if request.HasField("limit") else 10],
        coverage=pb.Coverage(shards_total=1, shards_answered=1),
        timings=pb.Timings(total=0.001, search=0.001),
        space="image",
        compared=sum(image.content != content for image in others),
    )


def duplicate_hit(content: bytes, image: StoredImage) -> pb.Hit:
    """Return an image as a hit that says what it is to the query picture."""
    score = cosine(embed(content), image.vector)
    return pb.Hit(image_id=image.message.image_id, score=score, match=match_of(content, image.content))


def match_of(content: bytes, stored: bytes) -> pb.Match:
    """Return what a stored picture is to the query: as many keypoints agree as bytes are shared."""
    if content == stored:
        return pb.Match(kind=pb.MATCH_KIND_EXACT, quad=_corners())
    if content in stored or stored in content:
        return pb.Match(kind=pb.MATCH_KIND_NEAR_DUPLICATE, inliers=min(len(content), len(stored)), quad=_corners())
    return pb.Match(kind=pb.MATCH_KIND_SIMILAR)


def _corners() -> list[pb.Point]:
    return [pb.Point(x=x, y=y) for x, y in ((0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE))]
