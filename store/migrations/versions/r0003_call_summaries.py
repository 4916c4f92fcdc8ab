"""Sums over the calls of ended optimizations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "call_summaries",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("spend", JSON_VALUE, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("dropped_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_call_summaries_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", name=op.f("pk_call_summaries")),
    )
    op.create_index(op.f("ix_call_summaries_dropped_at"), "call_summaries", ["dropped_at"])


def downgrade() -> None:
    op.drop_table("call_summaries")
