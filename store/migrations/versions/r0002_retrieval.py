"""Vectors of texts, and what a prompt version finds its examples by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "embeddings",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("text_sha", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("model", "text_sha", name=op.f("pk_embeddings")),
    )
    op.add_column("prompt_versions", sa.Column("retrieval", JSON_VALUE, nullable=True))


def downgrade() -> None:
    op.drop_column("prompt_versions", "retrieval")
    op.drop_table("embeddings")
