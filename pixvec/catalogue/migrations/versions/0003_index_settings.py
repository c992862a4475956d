"""A space says how it is indexed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_EACH = """
UPDATE collections SET spaces = coalesce(
    (SELECT jsonb_agg({changed} ORDER BY place) FROM jsonb_array_elements(spaces) WITH ORDINALITY AS s(space, place)),
    '[]'
)
"""
_DEFAULTS = '{"kind": "auto", "storage": "float16", "hnsw_m": 0, "ef_construction": 0, "nlist": 0}'


def upgrade() -> None:
    """Give the spaces there are the defaults of today."""
    op.execute(_EACH.format(changed=f"space || jsonb_build_object('index', CAST('{_DEFAULTS}' AS jsonb))"))


def downgrade() -> None:
    """Forget it."""
    op.execute(_EACH.format(changed="space - 'index'"))
