"""Images are found by their content: what no image refers to can be freed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index what images hold."""
    op.create_index(
        "ix_images_content_hash",
        "images",
        ["content_hash"],
        unique=False,
        postgresql_where=sa.text("content_hash <> ''"),
    )


def downgrade() -> None:
    """Find images by their id alone."""
    op.drop_index("ix_images_content_hash", "images")
