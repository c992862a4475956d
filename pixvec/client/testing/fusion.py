"""Several spaces of the fake store at once: in a further space pictures look as if its name stood before them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client.testing.regions import SPACE as REGION_SPACE
from pixvec.client.testing.regions import best_regions, told_region
from pixvec.client.testing.store import StoredCollection, cosine, embed
from pixvec.errors import InvalidRequest, NoTextTower, SpaceNotFound
from pixvec.fusion import FusedSpace, Fusion, FusionMethod, Scale, ranked, reciprocal_ranks, weighted_means
from pixvec.rpc.fusion import fusion_from_wire

# Of each image, best first: its score, and the ordinal of the region that it is of.
_Found: TypeAlias = Mapping[str, tuple[float, int]]


def fused_hits(
    collection: StoredCollection, request: pb.QueryRequest, vector_in: Callable[[str], Sequence[float]]
) -> list[pb.Hit]:
    """Return the hits of a fusion, best first. `vector_in` says what is searched for in a space."""
    fusion = fusion_from_wire(request.fusion)
    _check(collection, fusion)
    found = {each.space: _found(collection, each.space, vector_in(each.space)) for each in fusion.spaces}
    least = request.min_score if request.HasField("min_score") else None
    return [_hit(collection, request, found, *each) for each in ranked(_fused(fusion, found), least)]


def content_vector(content: bytes, space: str) -> list[float]:
    """Return the vector of a picture in a space."""
    embed(content)
    return embed(content if space in ("image", REGION_SPACE) else space.encode() + content)


def text_vector(text: str, space: str) -> list[float]:
    """Return the vector of a text. Raises NoTextTower in a further space."""
    if space != "image":
        raise NoTextTower(f"space {space!r} takes pictures only: leave it out of the fusion", field="fusion.spaces")
    return embed(text.encode())


def _check(collection: StoredCollection, fusion: Fusion) -> None:
    names = [each.space for each in fusion.spaces]
    known = [each.name for each in collection.message.spaces]
    for place, name in enumerate(names):
        if name not in known:
            raise SpaceNotFound(f"{collection.message.name} has no space {name!r}", field="fusion.spaces")
        if name in names[:place]:
            raise InvalidRequest(f"space {name!r} is fused twice: name it once", field="fusion.spaces")


def _found(collection: StoredCollection, space: str, vector: Sequence[float]) -> _Found:
    if space == REGION_SPACE:
        regions = best_regions(collection, vector, float("-inf"))
        return {image.message.image_id: (score, ordinal) for score, image, ordinal in regions}
    searched = [image for image in collection.images.values() if not image.message.duplicate_of]
    scores = {each.message.image_id: cosine(vector, content_vector(each.content, space)) for each in searched}
    return {image_id: (scores[image_id], 0) for image_id in sorted(scores, key=lambda each: (-scores[each], each))}


def _fused(fusion: Fusion, found: Mapping[str, _Found]) -> dict[str, float]:
    weights = {each.space: each.weight for each in fusion.spaces}
    if fusion.method is FusionMethod.RRF:
        fused = reciprocal_ranks({space: list(own) for space, own in found.items()}, weights, fusion.rrf_k)
    else:
        scores = {space: {each: score for each, (score, _) in own.items()} for space, own in found.items()}
        ids = {image_id: None for own in found.values() for image_id in own}
        scales = {space: Scale.of(list(own.values())) for space, own in scores.items() if own}
        fused = weighted_means(scores, weights, scales, list(ids))
    return {image_id: score for image_id, score in fused.items() if all(_passes(image_id, fusion.spaces, found))}


def _passes(image_id: str, spaces: Sequence[FusedSpace], found: Mapping[str, _Found]) -> Iterator[bool]:
    for each in spaces:
        if each.min_score is not None:
            yield image_id in found[each.space] and found[each.space][image_id][0] >= each.min_score


def _hit(
    collection: StoredCollection, request: pb.QueryRequest, found: Mapping[str, _Found], image_id: str, score: float
) -> pb.Hit:
    image = collection.images[image_id]
    hit = pb.Hit(image_id=image_id, score=score)
    hit.scores.update({space: own[image_id][0] for space, own in found.items() if image_id in own})
    if request.include.attributes:
        hit.attributes.MergeFrom(image.message.attributes)
    if REGION_SPACE in hit.scores:
        hit.region.CopyFrom(told_region(image, found[REGION_SPACE][image_id][1], request.include))
    return hit
