"""Images have regions; a space says whether its vectors stand for them, and whether it takes texts."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_EACH = """
UPDATE collections SET spaces = coalesce(
    (SELECT jsonb_agg({changed} ORDER BY place) FROM jsonb_array_elements(spaces) WITH ORDINALITY AS s(space, place)),
    '[]'
)
"""
_WITH_REGIONS = "SELECT count(*) FROM collections WHERE spaces @> '[{\"regions\": {}}]'"


def upgrade() -> None:
    """No collection has a space of regions yet."""
    op.create_table(
        "regions",
        sa.Column("collection_id", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.Text(collation="C"), nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("x1", sa.REAL(), nullable=False),
        sa.Column("y1", sa.REAL(), nullable=False),
        sa.Column("x2", sa.REAL(), nullable=False),
        sa.Column("y2", sa.REAL(), nullable=False),
        sa.Column("class_name", sa.Text(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=False),
        sa.Column("mask", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("collection_id", "image_id", "ordinal", name=op.f("pk_regions")),
    )
    op.execute(_EACH.format(changed="space || jsonb_build_object('regions', NULL, 'takes_text', FALSE)"))


def downgrade() -> None:
    """Raises when a collection has a space of regions: an older program would embed whole pictures into it."""
    regions = op.get_bind().execute(sa.text(_WITH_REGIONS)).scalar()
    if regions:
        raise RuntimeError(f"{regions} collections have spaces of regions, which an older program cannot fill")
    op.execute(_EACH.format(changed="space - 'regions' - 'takes_text'"))
    op.drop_table("regions")
