"""Times of the audit logs: their newest entries are read without looking at all of them."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TIMES = {
    "api_key_changes": ["at", "id"],
    "label_moves": ["at", "id"],
    "prompt_versions": ["created_at", "number"],
    "release_changes": ["at", "id"],
}


def upgrade() -> None:
    for table, columns in TIMES.items():
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def downgrade() -> None:
    for table, columns in TIMES.items():
        op.drop_index(f"ix_{table}_{'_'.join(columns)}", table)
