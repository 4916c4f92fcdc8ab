"""API keys and the audit log of their changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
LOG = "api_key_changes"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("number", SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("scopes", JSON_VALUE, nullable=False),
        sa.Column("models", JSON_VALUE, nullable=True),
        sa.Column("limits", JSON_VALUE, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("id", name=op.f("uq_api_keys_id")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_table(
        LOG,
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("fields", JSON_VALUE, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_api_key_changes_key_id_api_keys")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key_changes")),
    )
    op.create_index(op.f("ix_api_key_changes_key_id_id"), LOG, ["key_id", "id"])
    if op.get_bind().dialect.name == "postgresql":
        for event, level, name in (
            ("UPDATE OR DELETE", "ROW", "immutable"),
            ("TRUNCATE", "STATEMENT", "not_truncated"),
        ):
            op.execute(
                f"CREATE TRIGGER tr_{LOG}_{name} BEFORE {event} ON {LOG} "
                f"FOR EACH {level} EXECUTE FUNCTION refuse_change()"
            )
        return
    refuse = f"SELECT RAISE(ABORT, '{LOG} is immutable')"
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER tr_{LOG}_no_{change.lower()} BEFORE {change} ON {LOG} BEGIN {refuse}; END"
        )
    # INSERT OR REPLACE deletes the old row without a trigger
    op.execute(
        f"CREATE TRIGGER tr_{LOG}_no_replace BEFORE INSERT ON {LOG} "
        f"WHEN EXISTS (SELECT 1 FROM {LOG} WHERE id = NEW.id) BEGIN {refuse}; END"
    )


def downgrade() -> None:
    op.drop_table(LOG)
    op.drop_table("api_keys")
