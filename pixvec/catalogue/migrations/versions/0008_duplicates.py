"""Pictures are known again by what they show; a duplicate refers to its original."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BANDS = ("48", "32", "16", "0")
_LINKED = "SELECT count(*) FROM images WHERE duplicate_of IS NOT NULL"


def upgrade() -> None:
    """What is there already is known by its bytes alone."""
    op.add_column("images", sa.Column("perceptual_hash", sa.BigInteger(), nullable=True))
    op.add_column("images", sa.Column("duplicate_of", sa.Text(collation="C"), nullable=True))
    op.add_column("job_items", sa.Column("duplicate_of", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("on_duplicate", sa.Text(), server_default="keep", nullable=False))
    for shift in _BANDS:
        op.create_index(
            f"ix_images_band_{shift}",
            "images",
            ["collection_id", sa.text(f"((perceptual_hash >> {shift}) & 65535)")],
            unique=False,
            postgresql_where=sa.text("perceptual_hash IS NOT NULL"),
        )
    op.create_index(
        "ix_images_duplicate_of",
        "images",
        ["collection_id", "duplicate_of"],
        unique=False,
        postgresql_where=sa.text("duplicate_of IS NOT NULL"),
    )


def downgrade() -> None:
    """Raises when there are linked images: to an older program they are on their way for ever."""
    linked = op.get_bind().execute(sa.text(_LINKED)).scalar()
    if linked:
        raise RuntimeError(f"{linked} images are linked to an original, which an older program knows nothing of")
    op.drop_index("ix_images_duplicate_of", "images")
    for shift in _BANDS:
        op.drop_index(f"ix_images_band_{shift}", "images")
    op.drop_column("jobs", "on_duplicate")
    op.drop_column("job_items", "duplicate_of")
    op.drop_column("images", "duplicate_of")
    op.drop_column("images", "perceptual_hash")
