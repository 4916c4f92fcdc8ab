"""Jobs that make example banks: their kind, and the answers that they try."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column(
        "optimizations", sa.Column("kind", sa.Text(), nullable=False, server_default=sa.text("'prompt'"))
    )
    op.create_index(
        op.f("ix_optimizations_kind_created_at_id"), "optimizations", ["kind", "created_at", "id"]
    )
    op.create_table(
        "example_answers",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("example_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text(), nullable=False),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("unscored_reason", sa.Text(), nullable=True),
        sa.Column("criteria", JSON_VALUE, nullable=False),
        sa.Column("selection_rationale", sa.Text(), nullable=False),
        sa.Column("models", JSON_VALUE, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(reward IS NULL) <> (unscored_reason IS NULL)", name=op.f("ck_example_answers_scored_or_not")
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_example_answers_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "example_id", "id", name=op.f("pk_example_answers")),
    )


def downgrade() -> None:
    op.drop_table("example_answers")
    op.drop_index(op.f("ix_optimizations_kind_created_at_id"), "optimizations")
    op.drop_column("optimizations", "kind")
