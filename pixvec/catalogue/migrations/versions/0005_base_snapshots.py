"""Shards are backed up to the blob store, and a feed can begin at such a base."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No feed begins anywhere but at 0 yet."""
    op.add_column("shards", sa.Column("truncated_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_table(
        "base_snapshots",
        sa.Column("base_id", sa.Uuid(), nullable=False),
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Uuid(), nullable=False),
        sa.Column("made_in", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.Text(), server_default="", nullable=False),
        sa.Column("manifest_sha256", sa.Text(), server_default="", nullable=False),
        sa.Column("image_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("damage", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("base_id", name=op.f("pk_base_snapshots")),
    )
    op.create_index("ix_base_snapshots_shard", "base_snapshots", ["collection_id", "shard"], unique=False)


def downgrade() -> None:
    """Raises when a feed was truncated: an older program would take what is left of it for the whole."""
    truncated = op.get_bind().execute(sa.text("SELECT count(*) FROM shards WHERE truncated_seq > 0")).scalar()
    if truncated:
        raise RuntimeError(f"the feeds of {truncated} shards were truncated: an older program would lose their images")
    op.drop_table("base_snapshots")
    op.drop_column("shards", "truncated_seq")
