"""Collections, images, jobs, the change feed and its followers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "collections",
    "feed",
    "images",
    "job_items",
    "routing",
    "searchers",
    "jobs",
    "shards",
    "job_chunks",
    "placements",
)


def upgrade() -> None:
    """Create everything."""
    op.execute("CREATE SEQUENCE image_generation AS bigint CACHE 64")
    _create_collections()
    _create_feed()
    _create_images()
    _create_job_items()
    _create_routing()
    _create_searchers()
    _create_jobs()
    _create_shards()
    _create_job_chunks()
    _create_placements()
    op.execute("INSERT INTO routing (only_row, version) VALUES (1, 1)")


def downgrade() -> None:
    """Drop everything."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.execute("DROP SEQUENCE image_generation")


def _create_collections() -> None:
    op.create_table(
        "collections",
        sa.Column("collection_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("spaces", postgresql.JSONB(), nullable=False),
        sa.Column("shard_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("collection_id", name=op.f("pk_collections")),
    )
    op.create_index(
        "uq_collections_live_name", "collections", ["name"], unique=True, postgresql_where=sa.text("deleted_at IS NULL")
    )


def _create_feed() -> None:
    op.create_table(
        "feed",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "shard", "image_id", name=op.f("pk_feed")),
        sa.UniqueConstraint("collection_id", "shard", "seq", name=op.f("uq_feed_collection_id_shard_seq")),
    )
    op.create_index(
        "ix_feed_tombstones",
        "feed",
        ["collection_id", "shard", "seq"],
        unique=False,
        postgresql_where=sa.text("deleted"),
    )
    # Vectors do not compress: TOAST them as they are.
    op.execute("ALTER TABLE feed ALTER COLUMN record SET STORAGE EXTERNAL")


def _create_images() -> None:
    op.create_table(
        "images",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("live_generation", sa.BigInteger(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("format", sa.Text(), server_default="", nullable=False),
        sa.Column("width", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("height", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "image_id", name=op.f("pk_images")),
        postgresql_with={"fillfactor": 80},
    )


def _create_job_items() -> None:
    op.create_table(
        "job_items",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Text(collation="C"), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=True),
        sa.Column("epoch", sa.Uuid(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'indexed', 'failed')", name=op.f("ck_job_items_state")),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_job_items")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_job_items_chunk", "job_items", ["job_id", "chunk", "ordinal"], unique=False)
    op.create_index(
        "ix_job_items_failed",
        "job_items",
        ["job_id", "ordinal"],
        unique=False,
        postgresql_where=sa.text("state = 'failed'"),
    )


def _create_routing() -> None:
    op.create_table(
        "routing",
        sa.Column("only_row", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("only_row = 1", name=op.f("ck_routing_only_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_routing")),
    )


def _create_searchers() -> None:
    op.create_table(
        "searchers",
        sa.Column("searcher_id", sa.Text(collation="C"), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("lease_expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("searcher_id", name=op.f("pk_searchers")),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("on_existing", sa.Text(), nullable=False),
        sa.Column("uri_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("idempotency_key", sa.Text(), server_default="", nullable=False),
        sa.Column("next_chunk", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_ordinal", sa.BigInteger(), server_default=sa.text("-1"), nullable=False),
        sa.Column("total", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("indexed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retryable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("active_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.collection_id"], name=op.f("fk_jobs_collection_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_newest", "jobs", ["created_at", "job_id"], unique=False)
    op.create_index(
        "ix_jobs_planning",
        "jobs",
        ["active_at"],
        unique=False,
        postgresql_where=sa.text("uri_prefix <> '' AND closed_at IS NULL"),
    )
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["collection_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key <> ''"),
    )


def _create_shards() -> None:
    op.create_table(
        "shards",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("head_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tombstone_floor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("live_images", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.collection_id"], name=op.f("fk_shards_collection_id")),
        sa.PrimaryKeyConstraint("collection_id", "shard", name=op.f("pk_shards")),
        postgresql_with={"fillfactor": 10},
    )


def _create_job_chunks() -> None:
    op.create_table(
        "job_chunks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("open_items", sa.Integer(), nullable=False),
        sa.Column("indexed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("stage", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_job_chunks_job_id")),
        sa.PrimaryKeyConstraint("job_id", "chunk", name=op.f("pk_job_chunks")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "ix_job_chunks_open",
        "job_chunks",
        ["job_id", "chunk"],
        unique=False,
        postgresql_where=sa.text("open_items > 0"),
    )
    op.create_index(
        "ix_job_chunks_silent", "job_chunks", ["published_at"], unique=False, postgresql_where=sa.text("open_items > 0")
    )


def _create_placements() -> None:
    op.create_table(
        "placements",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("searcher_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ready", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("snapshot_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["collection_id", "shard"],
            ["shards.collection_id", "shards.shard"],
            name=op.f("fk_placements_collection_id_shard"),
        ),
        sa.PrimaryKeyConstraint("collection_id", "shard", "searcher_id", name=op.f("pk_placements")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("ix_placements_searcher_id", "placements", ["searcher_id"], unique=False)
