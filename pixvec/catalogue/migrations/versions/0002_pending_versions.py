"""An image remembers every version on its way, not only the newest."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take on what is known: the newest version, where it has not ended."""
    versions: sa.Column[list[int]] = sa.Column(
        "pending", postgresql.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False
    )
    op.add_column("images", versions)
    op.execute(
        "UPDATE images SET pending = ARRAY[generation] WHERE generation IS DISTINCT FROM live_generation"
        " AND reason IS NULL"
    )
    op.drop_column("images", "generation")


def downgrade() -> None:
    """Forget all but the newest."""
    op.add_column("images", sa.Column("generation", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE images SET generation ="
        " coalesce(pending[cardinality(pending)], live_generation, nextval('image_generation'))"
    )
    op.alter_column("images", "generation", nullable=False)
    op.drop_column("images", "pending")
