"""The values that every part of pixvec speaks in. All are immutable; none knows a library."""

from pixvec.domain.collections import Collection, Space, SpaceKind
from pixvec.domain.feed import BaseSnapshot, Consistency, SeqToken, ShardKey, ShardPosition
from pixvec.domain.hits import Hit, Match, MatchKind
from pixvec.domain.images import (
    PICTURE_SUFFIXES,
    Attributes,
    AttributeValue,
    Image,
    ImageState,
    IngestStage,
    ItemError,
    OnDuplicate,
    OnExisting,
)
from pixvec.domain.index import IndexKind, IndexSettings, IndexStanding, Metric, SearchOptions, VectorStorage
from pixvec.domain.jobs import Job, JobInfo, JobKind, JobState
from pixvec.domain.models import FittedKind, FittedModel, Model, ModelKind, TrainingSpec
from pixvec.domain.regions import Box, Mask, Region, RegionEmbedding, RegionSettings, region_id, split_region_id

__all__ = [
    "PICTURE_SUFFIXES",
    "AttributeValue",
    "Attributes",
    "BaseSnapshot",
    "Box",
    "Collection",
    "Consistency",
    "FittedKind",
    "FittedModel",
    "Hit",
    "Image",
    "ImageState",
    "IndexKind",
    "IndexSettings",
    "IndexStanding",
    "IngestStage",
    "ItemError",
    "Job",
    "JobInfo",
    "JobKind",
    "JobState",
    "Mask",
    "Match",
    "MatchKind",
    "Metric",
    "Model",
    "ModelKind",
    "OnDuplicate",
    "OnExisting",
    "Region",
    "RegionEmbedding",
    "RegionSettings",
    "SearchOptions",
    "SeqToken",
    "ShardKey",
    "ShardPosition",
    "Space",
    "SpaceKind",
    "TrainingSpec",
    "VectorStorage",
    "region_id",
    "split_region_id",
]
