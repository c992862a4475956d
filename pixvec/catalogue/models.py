"""The tables, as SQLAlchemy models. Alembic revisions in `migrations/` are what makes them; a test compares the two."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_ID = Text(collation="C")
_WHEN = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Common metadata of all tables."""

    metadata = MetaData(naming_convention=_NAMES)


# Compared for equality only: unique for ever, so an embed of a deleted image never matches one that came after it.
IMAGE_GENERATION = Sequence("image_generation", data_type=BigInteger, metadata=Base.metadata)


class CollectionRow(Base):
    """A collection. `spaces` is a list of values that is read whole and never searched."""

    __tablename__ = "collections"
    __table_args__ = (
        Index("uq_collections_live_name", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
    )

    collection_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(_ID)
    spaces: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    shard_count: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    deleted_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)


class ShardRow(Base):
    """The counter of one shard's feed. Every commit updates its row, hence the room for updates in place."""

    __tablename__ = "shards"
    __table_args__ = ({"postgresql_with": {"fillfactor": 10}},)

    collection_id: Mapped[int] = mapped_column(ForeignKey(CollectionRow.collection_id), primary_key=True)
    shard: Mapped[int] = mapped_column(Integer, primary_key=True)
    epoch: Mapped[uuid.UUID] = mapped_column(Uuid, server_default=func.gen_random_uuid())
    head_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    tombstone_floor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    truncated_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    live_images: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class ImageRow(Base):
    """What is known of an image. `live_generation` is the version that can be found, NULL for none; `pending` are those
    on their way, the newest last. Content, sizes and attributes are those of the live version where there is one."""

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_content_hash", "content_hash", postgresql_where=text("content_hash <> ''")),
        *(
            Index(
                f"ix_images_band_{shift}",
                "collection_id",
                text(f"((perceptual_hash >> {shift}) & 65535)"),
                postgresql_where=text("perceptual_hash IS NOT NULL"),
            )
            for shift in (48, 32, 16, 0)
        ),
        Index(
            "ix_images_duplicate_of",
            "collection_id",
            "duplicate_of",
            postgresql_where=text("duplicate_of IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": 80}},
    )

    # No foreign keys here, on items and on the feed: a check a row on the write path, for rows that `purge` removes.
    collection_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    image_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    live_generation: Mapped[int | None] = mapped_column(BigInteger)
    pending: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))
    content_hash: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    format: Mapped[str] = mapped_column(Text, server_default="")
    width: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    height: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    # JSON, not JSONB: it keeps 1e16 a float and 1 an integer.
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON)
    reason: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    retryable: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    updated_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    # The 64 bits as a signed number.
    perceptual_hash: Mapped[int | None] = mapped_column(BigInteger)
    duplicate_of: Mapped[str | None] = mapped_column(_ID)


class RegionRow(Base):
    """One object found in a live image. `mask`: see `rows.from_mask`."""

    __tablename__ = "regions"

    collection_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    image_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    ordinal: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    x1: Mapped[float] = mapped_column(REAL)
    y1: Mapped[float] = mapped_column(REAL)
    x2: Mapped[float] = mapped_column(REAL)
    y2: Mapped[float] = mapped_column(REAL)
    class_name: Mapped[str] = mapped_column(Text)
    score: Mapped[float] = mapped_column(REAL)
    mask: Mapped[bytes | None] = mapped_column(LargeBinary)


class FeedRow(Base):
    """One live image with all its vectors, or the tombstone of one."""

    __tablename__ = "feed"
    __table_args__ = (
        UniqueConstraint("collection_id", "shard", "seq"),
        Index("ix_feed_tombstones", "collection_id", "shard", "seq", postgresql_where=text("deleted")),
    )

    collection_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(Integer, primary_key=True)
    image_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    generation: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool]
    record: Mapped[bytes] = mapped_column(LargeBinary)


class JobRow(Base):
    """A job. Its state follows from `closed_at` and its chunks; `total`, `indexed`, `failed` are set at its end. A
    training has no chunks: it is leased as a whole, and `total`, `decoded`, `failed` tell how far its sample is."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "uq_jobs_idempotency_key",
            "collection_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key <> ''"),
        ),
        Index("ix_jobs_newest", "created_at", "job_id"),
        Index("ix_jobs_planning", "active_at", postgresql_where=text("uri_prefix <> '' AND closed_at IS NULL")),
        Index("ix_jobs_training", "active_at", postgresql_where=text("kind = 'training' AND closed_at IS NULL")),
    )

    job_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey(CollectionRow.collection_id))
    on_existing: Mapped[str] = mapped_column(Text)
    uri_prefix: Mapped[str] = mapped_column(Text, server_default="")
    idempotency_key: Mapped[str] = mapped_column(Text, server_default="")
    next_chunk: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    max_ordinal: Mapped[int] = mapped_column(BigInteger, server_default=text("-1"))
    total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    indexed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    failed: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reason: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    retryable: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    active_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    closed_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    ended_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    kind: Mapped[str] = mapped_column(Text, server_default="ingest")
    training: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    lease_owner: Mapped[str | None] = mapped_column(Text)
    lease_expires: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    decoded: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    on_duplicate: Mapped[str] = mapped_column(Text, server_default="keep")


class ChunkRow(Base):
    """Some items of a job that are leased and worked on together, with the counts that a job's progress adds up."""

    __tablename__ = "job_chunks"
    __table_args__ = (
        Index("ix_job_chunks_open", "job_id", "chunk", postgresql_where=text("open_items > 0")),
        Index("ix_job_chunks_silent", "published_at", postgresql_where=text("open_items > 0")),
        {"postgresql_with": {"fillfactor": 50}},
    )

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(JobRow.job_id), primary_key=True)
    chunk: Mapped[int] = mapped_column(Integer, primary_key=True)
    size: Mapped[int] = mapped_column(Integer)
    open_items: Mapped[int] = mapped_column(Integer)
    indexed: Mapped[int] = mapped_column(Integer)
    failed: Mapped[int] = mapped_column(Integer)
    stage: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    lease_owner: Mapped[str | None] = mapped_column(Text)
    lease_expires: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    published_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    ended_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)


class ItemRow(Base):
    """One picture of a job. `seq` with `shard` and `epoch` is where it stands in the feed, NULL where it does not."""

    __tablename__ = "job_items"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'indexed', 'failed')", name="state"),
        Index("ix_job_items_chunk", "job_id", "chunk", "ordinal"),
        Index("ix_job_items_failed", "job_id", "ordinal", postgresql_where=text("state = 'failed'")),
        {"postgresql_with": {"fillfactor": 70}},
    )

    job_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    ordinal: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    chunk: Mapped[int] = mapped_column(Integer)
    image_id: Mapped[str] = mapped_column(_ID)
    generation: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    unchanged: Mapped[bool] = mapped_column(server_default=text("false"))
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON)
    content_hash: Mapped[str] = mapped_column(Text)
    uri: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    message: Mapped[str | None] = mapped_column(Text)
    retryable: Mapped[bool] = mapped_column(server_default=text("false"))
    shard: Mapped[int | None] = mapped_column(Integer)
    epoch: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    seq: Mapped[int | None] = mapped_column(BigInteger)
    duplicate_of: Mapped[str | None] = mapped_column(Text)


class SearcherRow(Base):
    """A searcher that has registered; it counts as live until its lease expires."""

    __tablename__ = "searchers"

    searcher_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    address: Mapped[str] = mapped_column(Text)
    lease_expires: Mapped[dt.datetime] = mapped_column(_WHEN)


class PlacementRow(Base):
    """A shard that a searcher holds or is to hold."""

    __tablename__ = "placements"
    __table_args__ = (
        ForeignKeyConstraint(["collection_id", "shard"], [ShardRow.collection_id, ShardRow.shard]),
        Index("ix_placements_searcher_id", "searcher_id"),
        {"postgresql_with": {"fillfactor": 50}},
    )

    collection_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    shard: Mapped[int] = mapped_column(Integer, primary_key=True)
    searcher_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    ready: Mapped[bool] = mapped_column(server_default=text("false"))
    snapshot_seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class BaseSnapshotRow(Base):
    """A shard in the blob store. No foreign keys: it outlives its collection until its files are gone."""

    __tablename__ = "base_snapshots"
    __table_args__ = (Index("ix_base_snapshots_shard", "collection_id", "shard"),)

    base_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    collection_id: Mapped[int] = mapped_column(BigInteger)
    shard: Mapped[int] = mapped_column(Integer)
    epoch: Mapped[uuid.UUID] = mapped_column(Uuid)
    made_in: Mapped[uuid.UUID] = mapped_column(Uuid)
    seq: Mapped[int] = mapped_column(BigInteger)
    manifest: Mapped[str] = mapped_column(Text, server_default="")
    manifest_sha256: Mapped[str] = mapped_column(Text, server_default="")
    image_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())
    verified_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    retired_at: Mapped[dt.datetime | None] = mapped_column(_WHEN)
    damage: Mapped[str] = mapped_column(Text, server_default="")


class FittedModelRow(Base):
    """A fitted file in the blob store, under the name that a model's text gives it."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_content_hash", "content_hash"),)

    name: Mapped[str] = mapped_column(_ID, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    base_model: Mapped[str] = mapped_column(Text)
    dim: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    collection: Mapped[str] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(_WHEN, server_default=func.now())


class RoutingRow(Base):
    """The one row that counts changes of the routing."""

    __tablename__ = "routing"
    __table_args__ = (CheckConstraint("only_row = 1", name="only_row"),)

    only_row: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)
