"""Quotas of API keys, and what served requests use."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "quota_uses",
        sa.Column("key_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_number", "period", "starts_at", name=op.f("pk_quota_uses")),
    )
    op.create_table(
        "served_routes",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("upstream_model", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_served_routes")),
        sa.UniqueConstraint(
            "endpoint",
            "model",
            "backend",
            "upstream_model",
            "version_id",
            name=op.f("uq_served_routes_endpoint_model_backend_upstream_model_version_id"),
        ),
    )
    op.create_table(
        "served_requests",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("route_id", SERIAL, nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("ending", sa.SmallInteger(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.Column("first_ms", sa.Integer(), nullable=True),
        sa.Column("total_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["route_id"], ["served_routes.id"], name=op.f("fk_served_requests_route_id_served_routes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_served_requests")),
    )
    op.create_table(
        "usage_days",
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("route_id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("client_left", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["route_id"], ["served_routes.id"], name=op.f("fk_usage_days_route_id_served_routes")
        ),
        sa.PrimaryKeyConstraint("day", "key_number", "route_id", name=op.f("pk_usage_days")),
    )


def downgrade() -> None:
    for table in ("usage_days", "served_requests", "served_routes", "quota_uses"):
        op.drop_table(table)
