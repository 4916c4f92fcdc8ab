"""Label moves that undo others."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("label_moves", sa.Column("undoes", sa.BigInteger(), nullable=True))
    op.add_column(
        "label_moves", sa.Column("removes", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("label_moves", "removes")
    op.drop_column("label_moves", "undoes")
