"""Rows to domain values and back, shared by the stores."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Row

from pixvec.catalogue.interfaces import ItemStatus
from pixvec.domain import (
    Attributes,
    Box,
    Collection,
    FittedKind,
    IndexKind,
    IndexSettings,
    IngestStage,
    ItemError,
    Mask,
    Metric,
    Region,
    RegionEmbedding,
    RegionSettings,
    ShardPosition,
    Space,
    TrainingSpec,
    VectorStorage,
)
from pixvec.errors import JobNotFound

COLLECTION_COLUMNS = "c.collection_id, c.name, c.spaces, c.shard_count, c.created_at"
ITEM_COLUMNS = """i.ordinal, i.image_id, i.state, i.unchanged, i.shard, i.epoch, i.seq, i.duplicate_of,
    c.stage, i.uri,
    coalesce(i.reason, CASE WHEN i.state = 'open' AND j.ended_at IS NOT NULL THEN j.reason END) AS reason,
    coalesce(i.message, j.message, '') AS message, i.retryable"""
ITEM_TABLES = """job_items i JOIN job_chunks c ON c.job_id = i.job_id AND c.chunk = i.chunk
    JOIN jobs j ON j.job_id = i.job_id"""


def to_collection(row: Row[Any]) -> Collection:
    """Read the columns of COLLECTION_COLUMNS."""
    return Collection(row.collection_id, row.name, tuple(map(_to_space, row.spaces)), row.shard_count, row.created_at)


def from_spaces(spaces: Sequence[Space]) -> str:
    """Return spaces as the JSON that `to_collection` reads."""
    return json.dumps([asdict(space) for space in spaces])


def _to_space(fields: dict[str, Any]) -> Space:
    index = fields["index"]
    settings = IndexSettings(**index | {"kind": IndexKind(index["kind"]), "storage": VectorStorage(index["storage"])})
    regions = _to_region_settings(fields["regions"])
    return Space(**fields | {"metric": Metric(fields["metric"]), "index": settings, "regions": regions})


def _to_region_settings(fields: dict[str, Any] | None) -> RegionSettings | None:
    if fields is None:
        return None
    return RegionSettings(**fields | {"embedding": RegionEmbedding(fields["embedding"])})


def to_region(row: Row[Any]) -> Region:
    """Read the columns of a region."""
    box = Box(row.x1, row.y1, row.x2, row.y2)
    return Region(row.ordinal, box, row.class_name, row.score, _to_mask(row.mask))


def from_mask(mask: Mask | None) -> bytes | None:
    """Return a mask as little-endian uint32: width, height, counts."""
    return None if mask is None else np.array([mask.width, mask.height, *mask.counts], "<u4").tobytes()


def _to_mask(stored: bytes | None) -> Mask | None:
    if stored is None:
        return None
    width, height, *counts = np.frombuffer(stored, "<u4").tolist()
    return Mask(width, height, tuple(counts))


def to_training(fields: dict[str, Any]) -> TrainingSpec:
    """Read the column `training` of a job."""
    return TrainingSpec(**fields | {"kind": FittedKind(fields["kind"])})


def to_json(attributes: Attributes) -> str:
    """Return attributes as JSON."""
    return json.dumps(dict(attributes), allow_nan=False)


def to_error(row: Row[Any]) -> ItemError | None:
    """Read `reason`, `message` and `retryable`."""
    return None if row.reason is None else ItemError(row.reason, row.message, row.retryable)


def to_status(row: Row[Any]) -> ItemStatus:
    """Read the columns of ITEM_COLUMNS."""
    position = None if row.seq is None else ShardPosition(row.shard, str(row.epoch), row.seq)
    stage = IngestStage.INDEXED if row.state == "indexed" else IngestStage(row.stage)
    original = row.duplicate_of or ""
    return ItemStatus(row.ordinal, row.image_id, stage, to_error(row), position, row.unchanged, original)


def job_key(job_id: str) -> uuid.UUID:
    """Return the key of a job. Raises JobNotFound for what cannot be one."""
    try:
        return uuid.UUID(job_id)
    except ValueError:
        raise JobNotFound(f"no job {job_id!r}: a job's id is a UUID", field="job_id") from None
