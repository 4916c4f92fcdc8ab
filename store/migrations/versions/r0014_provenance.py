"""Who has stored a prompt version, and how, where no job has; pages of candidates and evaluations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    value = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
    op.add_column("prompt_versions", sa.Column("provenance", value, nullable=True))
    op.create_index(
        "ix_candidates_optimization_id_round_id", "candidates", ["optimization_id", "round", "id"]
    )
    op.create_index(
        "ix_evaluations_optimization_id_round_key", "evaluations", ["optimization_id", "round", "key"]
    )


def downgrade() -> None:
    op.drop_index("ix_evaluations_optimization_id_round_key", "evaluations")
    op.drop_index("ix_candidates_optimization_id_round_id", "candidates")
    op.drop_column("prompt_versions", "provenance")
