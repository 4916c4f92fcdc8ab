"""Control over jobs: priority, pauses, the budget now, idempotency keys, where a job comes from, deletion."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def columns() -> tuple[sa.Column[Any], ...]:
    # with defaults of the server: processes of the version before insert rows during an upgrade
    return (
        sa.Column("priority", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("paused_because", JSON_VALUE, nullable=True),
        sa.Column("probe_at", sa.Double(), nullable=True),
        sa.Column("limits", JSON_VALUE, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.Text(), nullable=True),
        sa.Column("derived_from", sa.Text(), nullable=True),
        sa.Column("schedule_id", sa.Text(), nullable=True),
        sa.Column("spec_version", sa.BigInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("software", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.Double(), nullable=True),
    )


def upgrade() -> None:
    for column in columns():
        op.add_column("optimizations", column)
    op.create_index(
        op.f("ix_optimizations_kind_idempotency_key"),
        "optimizations",
        ["kind", "idempotency_key"],
        unique=True,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_optimizations_kind_idempotency_key"), "optimizations")
    for column in reversed(columns()):
        op.drop_column("optimizations", column.name)
