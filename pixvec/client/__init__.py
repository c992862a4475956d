"""The Python SDK: `Client`, and `AsyncClient` with the same methods. Needs grpcio and protobuf only."""

from pixvec.client.admin_values import RestoredShard, ShardSnapshot, SnapshotInfo, Topology
from pixvec.client.async_client import AsyncClient
from pixvec.client.async_jobs import AsyncIngestJob, AsyncUriJob
from pixvec.client.async_models import AsyncTrainingJob
from pixvec.client.jobs import IngestJob, UriJob
from pixvec.client.models import TrainingJob
from pixvec.client.new_collections import SpaceSettings
from pixvec.client.parts import Part
from pixvec.client.scene_values import ObjectMatch, SceneHit, SceneObject, SceneResult
from pixvec.client.sources import NewImage
from pixvec.client.sync_client import Client
from pixvec.client.values import (
    BatchHits,
    BatchResult,
    Classification,
    ClassifyResult,
    CollectionInfo,
    Coverage,
    DeleteResult,
    DuplicatesResult,
    Failure,
    FoundRegion,
    Hit,
    ImageInfo,
    IngestCounts,
    SearchResult,
    Timings,
)
from pixvec.domain import (
    Box,
    IndexKind,
    IndexSettings,
    JobInfo,
    Match,
    MatchKind,
    OnDuplicate,
    RegionEmbedding,
    RegionSettings,
    VectorStorage,
)
from pixvec.fusion import FusedSpace, FusionMethod

__all__ = [
    "AsyncClient",
    "AsyncIngestJob",
    "AsyncTrainingJob",
    "AsyncUriJob",
    "BatchHits",
    "BatchResult",
    "Box",
    "Classification",
    "ClassifyResult",
    "Client",
    "CollectionInfo",
    "Coverage",
    "DeleteResult",
    "DuplicatesResult",
    "Failure",
    "FoundRegion",
    "FusedSpace",
    "FusionMethod",
    "Hit",
    "ImageInfo",
    "IndexKind",
    "IndexSettings",
    "IngestCounts",
    "IngestJob",
    "JobInfo",
    "Match",
    "MatchKind",
    "NewImage",
    "ObjectMatch",
    "OnDuplicate",
    "Part",
    "RegionEmbedding",
    "RegionSettings",
    "RestoredShard",
    "SceneHit",
    "SceneObject",
    "SceneResult",
    "SearchResult",
    "ShardSnapshot",
    "SnapshotInfo",
    "SpaceSettings",
    "Timings",
    "Topology",
    "TrainingJob",
    "UriJob",
    "VectorStorage",
]
