"""Regions and what makes them, between the domain and the wire. Needs protobuf only."""

from pixvec.api.v1 import collection_service_pb2, common_pb2
from pixvec.domain import Box, IndexSettings, Mask, Region, RegionEmbedding, RegionSettings, region_id
from pixvec.rpc.index_settings import index_to_wire

_EMBEDDINGS: dict[RegionEmbedding, collection_service_pb2.RegionEmbedding] = {
    RegionEmbedding.ROI: collection_service_pb2.REGION_EMBEDDING_ROI,
    RegionEmbedding.CROP: collection_service_pb2.REGION_EMBEDDING_CROP,
}
_FROM_EMBEDDING = {wire: embedding for embedding, wire in _EMBEDDINGS.items()}


def region_settings_to_wire(
    settings: RegionSettings, index: IndexSettings | None = None
) -> collection_service_pb2.RegionSettings:
    """Return what regions are made by, and how their space is indexed, as it travels."""
    return collection_service_pb2.RegionSettings(
        detector=settings.detector,
        embedding=_EMBEDDINGS[settings.embedding],
        class_agnostic=settings.class_agnostic,
        min_score=settings.min_score,
        max_regions=settings.max_regions,
        min_area_share=settings.min_area_share,
        background_out=settings.background_out,
        index=None if index is None else index_to_wire(index),
    )


def region_settings_from_wire(message: collection_service_pb2.RegionSettings) -> RegionSettings:
    """Return what regions are made by; what is left out is the default, and so is what a newer server says."""
    default = RegionSettings("")
    return RegionSettings(
        message.detector,
        _FROM_EMBEDDING.get(message.embedding, default.embedding),
        message.class_agnostic,
        _decimal(message.min_score) if message.HasField("min_score") else default.min_score,
        message.max_regions if message.HasField("max_regions") else default.max_regions,
        _decimal(message.min_area_share),
        message.background_out,
    )


def box_to_wire(box: Box) -> common_pb2.Box:
    """Return a box as it travels, in single precision."""
    return common_pb2.Box(x1=box.x1, y1=box.y1, x2=box.x2, y2=box.y2)


def box_from_wire(message: common_pb2.Box) -> Box:
    """Return a box."""
    return Box(message.x1, message.y1, message.x2, message.y2)


def region_to_wire(region: Region, image_id: str = "") -> common_pb2.Region:
    """Return a region as it travels; without an image's id it has none either."""
    return common_pb2.Region(
        region_id=region_id(image_id, region.ordinal) if image_id else "",
        ordinal=region.ordinal,
        box=box_to_wire(region.box),
        class_name=region.class_name,
        score=region.score,
        mask=None if region.mask is None else _mask_to_wire(region.mask),
    )


def region_from_wire(message: common_pb2.Region) -> Region:
    """Return a region."""
    mask = message.mask
    return Region(
        message.ordinal,
        box_from_wire(message.box),
        message.class_name,
        message.score,
        Mask(mask.width, mask.height, tuple(mask.counts)) if message.HasField("mask") else None,
    )


def _mask_to_wire(mask: Mask) -> common_pb2.Mask:
    return common_pb2.Mask(width=mask.width, height=mask.height, counts=mask.counts)


def _decimal(number: float) -> float:
    """Return what was meant by a number in single precision: 0.3, not 0.30000001192092896."""
    return float(f"{number:.7g}")
