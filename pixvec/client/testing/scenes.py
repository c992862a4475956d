"""Scenes over the fake store: by brute force."""

from collections.abc import Sequence

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client.testing.regions import (
    best_regions,
    check_regions,
    region_hit,
    region_vectors,
    regions_of,
    told_region,
)
from pixvec.client.testing.store import StoredCollection, StoredImage, cosine

_DEFAULT = 10


def scene_response(
    collection: StoredCollection, content: bytes, request: pb.QuerySceneRequest
) -> pb.QuerySceneResponse:
    """Return the objects of a picture with their hits, and the pictures that hold all of them. Raises NoRegions."""
    check_regions(collection, "query")
    limit = request.limit if request.HasField("limit") else _DEFAULT
    objects = regions_of(content, request.image_id, with_masks=request.include.masks)
    vectors = region_vectors(content)[: request.max_objects if request.HasField("max_objects") else _DEFAULT]
    floor = request.min_score if request.HasField("min_score") else float("-inf")
    ranked = [best_regions(collection, vector, floor)[:limit] for vector in vectors]
    return pb.QuerySceneResponse(
        objects=[
            pb.SceneObject(region=region, hits=[region_hit(*hit, request.include) for hit in hits])
            for region, hits in zip(objects, ranked, strict=False)
        ],
        pictures=_joint(collection, vectors, floor, request.include)[:limit] if vectors else [],
        objects_found=len(objects),
        coverage=pb.Coverage(shards_total=1, shards_answered=1),
        timings=pb.Timings(total=0.001, search=0.001),
        space="region",
        width=10 * len(objects),
        height=8,
    )


def _joint(
    collection: StoredCollection, vectors: Sequence[Sequence[float]], floor: float, include: pb.Include
) -> list[pb.SceneHit]:
    held = [_scene_hit(image, vectors, include) for image in collection.images.values() if image.content.split()]
    kept = [hit for hit in held if min(match.score for match in hit.objects) >= floor]
    return sorted(kept, key=lambda hit: (-hit.score, hit.image_id))


def _scene_hit(image: StoredImage, vectors: Sequence[Sequence[float]], include: pb.Include) -> pb.SceneHit:
    own = region_vectors(image.content)
    best = [max((cosine(vector, each), -n) for n, each in enumerate(own)) for vector in vectors]
    return pb.SceneHit(
        image_id=image.message.image_id,
        score=sum(score for score, _ in best) / len(best),
        attributes=image.message.attributes if include.attributes else None,
        objects=[pb.ObjectMatch(score=score, region=told_region(image, -place, include)) for score, place in best],
    )
