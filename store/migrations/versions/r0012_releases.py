"""Releases: policies of traffic, counts of their arms, feedback, and what answers say about both."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("arm", sa.Text(), nullable=True),
        sa.Column("propensity", sa.Double(), nullable=True),
        sa.Column("stretch", sa.BigInteger(), nullable=True),
    )


def upgrade() -> None:
    for column in columns():
        op.add_column("served_requests", column)
    op.create_index(op.f("ix_served_requests_token"), "served_requests", ["token"])
    op.create_table(
        "releases",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("policy", JSON_VALUE, nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("suspect_stretch", sa.BigInteger(), nullable=True),
        sa.Column("suspect_since", sa.Double(), nullable=True),
        sa.Column("quiet_until", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_releases")),
    )
    op.create_table(
        "release_changes",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("policy", JSON_VALUE, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_release_changes")),
    )
    op.create_index(op.f("ix_release_changes_model_id"), "release_changes", ["model", "id"])
    create_counts_and_feedback()


def create_counts_and_feedback() -> None:
    counted = ("requests", "errors", "tokens", "micros", "milliseconds", "rated", "negative")
    op.create_table(
        "release_counts",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("stretch", sa.BigInteger(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counted),
        sa.Column("reward", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", "stretch", "arm", "version_id", name=op.f("pk_release_counts")),
    )
    op.create_table(
        "feedback",
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("rater", sa.Text(), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=True),
        sa.Column("propensity", sa.Double(), nullable=True),
        sa.Column("stretch", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("token", "rater", name=op.f("pk_feedback")),
    )
    op.create_index(op.f("ix_feedback_at"), "feedback", ["at"])
    op.create_index(op.f("ix_feedback_settled_at"), "feedback", ["settled", "at"])


def downgrade() -> None:
    for table in ("feedback", "release_counts", "release_changes", "releases"):
        op.drop_table(table)
    op.drop_index(op.f("ix_served_requests_token"), "served_requests")
    for column in reversed(columns()):
        op.drop_column("served_requests", column.name)
