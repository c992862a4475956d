"""Objects in the pictures of the fake store: each word of a picture is one, 8 x 8 pixels with 2 between them."""

from collections.abc import Iterator, Sequence

from pixvec.api.v1 import collection_service_pb2, common_pb2
from pixvec.api.v1 import search_service_pb2 as pb
from pixvec.client.testing.store import DIM, StoredCollection, StoredImage, cosine, embed
from pixvec.domain import Box, Mask, Region, split_region_id
from pixvec.errors import InvalidRequest, NoRegions, PictureEmpty, RegionNotFound
from pixvec.rpc.regions import region_to_wire

SPACE = "region"
_STEP = 10
_SIDE = 8


def region_space(settings: collection_service_pb2.RegionSettings) -> collection_service_pb2.Space:
    """Return the space of a collection made with regions."""
    return collection_service_pb2.Space(
        name=SPACE,
        model=settings.detector,
        dim=DIM,
        metric=common_pb2.METRIC_COSINE,
        digest="1" * 64,
        index=settings.index,
        kind=collection_service_pb2.SPACE_KIND_REGION,
    )


def check_regions(collection: StoredCollection, field: str) -> None:
    """Raise NoRegions for a collection made without."""
    if not collection.message.HasField("regions"):
        raise NoRegions(f"{collection.message.name} finds no objects in its pictures", field=field)


def regions_of(content: bytes, image_id: str, *, with_masks: bool = False) -> list[common_pb2.Region]:
    """Return the objects of a picture as they travel; without an image's id they have none either."""
    words = _words(content)
    mask = Mask(_STEP * len(words), _SIDE, (0, _SIDE)) if with_masks else None
    boxes = [Box(_STEP * n, 0, _STEP * n + _SIDE, _SIDE) for n in range(len(words))]
    pairs = enumerate(zip(words, boxes, strict=True))
    return [region_to_wire(Region(n, box, word.decode(), 0.9, mask), image_id) for n, (word, box) in pairs]


def region_vectors(content: bytes) -> list[list[float]]:
    """Return the vector of each object of a picture."""
    return [embed(word) for word in _words(content)]


def stored_region(collection: StoredCollection, region_id: str) -> list[float]:
    """Return the vector of a region of an image. Raises RegionNotFound."""
    image_id, ordinal = split_region_id(region_id) or ("", 0)
    image = collection.images.get(image_id)
    if image is None or ordinal >= len(_words(image.content)):
        raise RegionNotFound(f"there is no region {region_id!r}", field="region_id")
    return region_vectors(image.content)[ordinal]


def drawn_region(content: bytes, box: common_pb2.Box) -> list[float]:
    """Return the vector of the object that a box begins in. Raises InvalidRequest for one outside."""
    words, place = _words(content), int(box.x1 // _STEP)
    if not 0 <= place < len(words):
        raise InvalidRequest(f"the box lies outside the picture, which is {_STEP * len(words)} x {_SIDE}", field="box")
    return embed(words[place])


def best_regions(
    collection: StoredCollection, vector: Sequence[float], min_score: float
) -> list[tuple[float, StoredImage, int]]:
    """Return each picture that has an object, by its best one, best first."""
    found = [(*best, image) for image in collection.images.values() for best in _best(image, vector)]
    kept = [(score, image, ordinal) for score, ordinal, image in found if score >= min_score]
    return sorted(kept, key=lambda each: (-each[0], each[1].message.image_id))


def region_hit(score: float, image: StoredImage, ordinal: int, include: pb.Include) -> pb.Hit:
    """Return a hit as it travels, with what was asked for."""
    message = image.message
    attributes = message.attributes if include.attributes else None
    region = told_region(image, ordinal, include)
    return pb.Hit(image_id=message.image_id, score=score, attributes=attributes, region=region)


def told_region(image: StoredImage, ordinal: int, include: pb.Include) -> common_pb2.Region:
    """Return a region as it travels, with what was asked for."""
    region = regions_of(image.content, image.message.image_id, with_masks=include.masks)[ordinal]
    return region if include.regions else common_pb2.Region(region_id=region.region_id, ordinal=ordinal)


def _best(image: StoredImage, vector: Sequence[float]) -> Iterator[tuple[float, int]]:
    scores = [cosine(vector, each) for each in region_vectors(image.content)]
    if scores:
        yield max(scores), scores.index(max(scores))


def _words(content: bytes) -> list[bytes]:
    if not content:
        raise PictureEmpty("the file is empty")
    return content.split()
