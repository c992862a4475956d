"""The Python SDK: `Client`, and `AsyncClient` with the same methods. Needs grpcio and protobuf only."""

from pixvec.client.async_client import AsyncClient
from pixvec.client.async_jobs import AsyncIngestJob, AsyncUriJob
from pixvec.client.jobs import IngestJob, UriJob
from pixvec.client.sources import NewImage
from pixvec.client.sync_client import Client
from pixvec.client.values import (
    CollectionInfo,
    Coverage,
    DeleteResult,
    Failure,
    Hit,
    IngestCounts,
    SearchResult,
    Timings,
)
from pixvec.domain import JobInfo

__all__ = [
    "AsyncClient",
    "AsyncIngestJob",
    "AsyncUriJob",
    "Client",
    "CollectionInfo",
    "Coverage",
    "DeleteResult",
    "Failure",
    "Hit",
    "IngestCounts",
    "IngestJob",
    "JobInfo",
    "NewImage",
    "SearchResult",
    "Timings",
    "UriJob",
]
