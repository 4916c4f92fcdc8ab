"""Schedules, what came of them, and counted traffic."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("request", JSON_VALUE, nullable=False),
        sa.Column("trigger", JSON_VALUE, nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("last_job_id", sa.Text(), nullable=True),
        sa.Column("last_started_at", sa.Double(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("status IN ('on', 'off')", name=op.f("ck_schedules_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_due_at"), "schedules", ["due_at"])
    op.create_table(
        "schedule_runs",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('started', 'skipped', 'failed')", name=op.f("ck_schedule_runs_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_runs_schedule_id_schedules")
        ),
        sa.PrimaryKeyConstraint("schedule_id", "due_at", name=op.f("pk_schedule_runs")),
    )
    op.create_table(
        "traffic_counts",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("truncated", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("empty", sa.BigInteger(), nullable=False),
        sa.Column("upstream_errors", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version_id", "bucket", name=op.f("pk_traffic_counts")),
    )
    op.create_index(op.f("ix_traffic_counts_bucket"), "traffic_counts", ["bucket"])


def downgrade() -> None:
    op.drop_table("traffic_counts")
    op.drop_table("schedule_runs")
    op.drop_table("schedules")
