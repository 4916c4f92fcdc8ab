"""Answers and scores are compressed by lz4 where PostgreSQL has it: smaller than its own way, and faster.

Only rows to come are; whoever reads does not see a difference.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# A server may have been built without it, and then refuses its name.
_HAS_LZ4 = (
    "SELECT count(*) FROM pg_settings"
    " WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"
)
_COLUMNS = ("answer", "criteria")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql" and connection.exec_driver_sql(_HAS_LZ4).scalar():
        for column in _COLUMNS:
            op.execute(f"ALTER TABLE evaluations ALTER COLUMN {column} SET COMPRESSION lz4")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql" and connection.exec_driver_sql(_HAS_LZ4).scalar():
        for column in _COLUMNS:
            op.execute(f"ALTER TABLE evaluations ALTER COLUMN {column} SET COMPRESSION default")
