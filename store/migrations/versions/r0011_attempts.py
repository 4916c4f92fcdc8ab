"""How many requests to backends a served request took."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "served_requests", sa.Column("attempts", sa.SmallInteger(), nullable=False, server_default="1")
    )


def downgrade() -> None:
    op.drop_column("served_requests", "attempts")
