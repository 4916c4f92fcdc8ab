"""Whom a release suspects, what its arms were refused, and an index of the answers that releases chose."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("releases", sa.Column("suspect_label", sa.Text(), nullable=True))
    op.add_column(
        "release_counts", sa.Column("refusals", sa.BigInteger(), nullable=False, server_default="0")
    )
    chosen = sa.text("arm IS NOT NULL")
    op.create_index(
        "ix_served_requests_released",
        "served_requests",
        ["id"],
        postgresql_where=chosen,
        sqlite_where=chosen,
    )


def downgrade() -> None:
    op.drop_index("ix_served_requests_released", "served_requests")
    op.drop_column("release_counts", "refusals")
    op.drop_column("releases", "suspect_label")
