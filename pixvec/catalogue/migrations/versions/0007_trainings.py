"""Jobs fit models, which are kept by name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = ("kind", "training", "attempt", "lease_owner", "lease_expires", "decoded")


def upgrade() -> None:
    """Every job that there is takes pictures in."""
    op.add_column("jobs", sa.Column("kind", sa.Text(), server_default="ingest", nullable=False))
    op.add_column("jobs", sa.Column("training", JSONB(), nullable=True))
    op.add_column("jobs", sa.Column("attempt", sa.SmallInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("jobs", sa.Column("lease_owner", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("lease_expires", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("decoded", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_index(
        "ix_jobs_training",
        "jobs",
        ["active_at"],
        unique=False,
        postgresql_where=sa.text("kind = 'training' AND closed_at IS NULL"),
    )
    op.create_table(
        "models",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("base_model", sa.Text(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_index("ix_models_content_hash", "models", ["content_hash"], unique=False)


def downgrade() -> None:
    """Raises when there are fitted models: an older program would free their files. Trainings are forgotten."""
    models = op.get_bind().execute(sa.text("SELECT count(*) FROM models")).scalar()
    if models:
        raise RuntimeError(f"there are {models} fitted models, whose files an older program would free: delete them")
    op.drop_table("models")
    op.execute("DELETE FROM jobs WHERE kind = 'training'")
    op.drop_index("ix_jobs_training", "jobs")
    for column in reversed(_COLUMNS):
        op.drop_column("jobs", column)
