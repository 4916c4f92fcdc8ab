"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

# what a served answer or an audit refers to never changes: table -> the keys that name a row
IMMUTABLE = {
    "example_banks": (("id",),),
    "prompt_versions": (("id",), ("model", "number"), ("model", "content_hash")),
    "label_moves": (("id",),),
}


def upgrade() -> None:
    create_tables()
    if op.get_bind().dialect.name == "postgresql":
        refuse_changes_on_postgresql()
    else:
        refuse_changes_on_sqlite()


def refuse_changes_on_postgresql() -> None:
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is immutable', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """
    )
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER tr_{table}_immutable BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER tr_{table}_not_truncated BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def refuse_changes_on_sqlite() -> None:
    for table, keys in IMMUTABLE.items():
        refuse = f"SELECT RAISE(ABORT, '{table} is immutable')"
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER tr_{table}_no_{change.lower()} BEFORE {change} ON {table} BEGIN {refuse}; END"
            )
        # INSERT OR REPLACE deletes the old row without a trigger
        taken = " OR ".join("(" + " AND ".join(f"{c} = NEW.{c}" for c in key) + ")" for key in keys)
        op.execute(
            f"CREATE TRIGGER tr_{table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {taken}) BEGIN {refuse}; END"
        )


def create_tables() -> None:
    op.create_table(
        "backend_capabilities",
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("record", JSON_VALUE, nullable=False),
        sa.Column("probed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("backend", "model", name=op.f("pk_backend_capabilities")),
    )
    op.create_table(
        "criterion_selections",
        sa.Column("query_sha", sa.Text(), nullable=False),
        sa.Column("selector_model", sa.Text(), nullable=False),
        sa.Column("template_version", sa.Text(), nullable=False),
        sa.Column("selection", JSON_VALUE, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint(
            "query_sha", "selector_model", "template_version", name=op.f("pk_criterion_selections")
        ),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("query_count", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", "sha256", name=op.f("uq_datasets_name_sha256")),
    )
    op.create_table(
        "example_banks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("examples", JSON_VALUE, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_example_banks")),
    )
    op.create_table(
        "optimizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("spec", JSON_VALUE, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("error", JSON_VALUE, nullable=True),
        sa.Column("result", JSON_VALUE, nullable=True),
        sa.Column("elapsed_seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_optimizations_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_optimizations")),
    )
    op.create_index(
        op.f("ix_optimizations_created_at_id"), "optimizations", ["created_at", "id"], unique=False
    )
    op.create_index(
        op.f("ix_optimizations_status_created_at"), "optimizations", ["status", "created_at"], unique=False
    )
    op.create_table(
        "candidates",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text(), nullable=False),
        sa.Column("template_version", sa.Text(), nullable=True),
        sa.Column("kept", sa.Boolean(), nullable=True),
        sa.Column("dropped_in_round", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id", "parent_id"],
            ["candidates.optimization_id", "candidates.id"],
            name=op.f("fk_candidates_optimization_id_parent_id_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_candidates_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "id", name=op.f("pk_candidates")),
    )
    op.create_table(
        "dataset_queries",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_queries_dataset_id_datasets")
        ),
        sa.PrimaryKeyConstraint("dataset_id", "position", name=op.f("pk_dataset_queries")),
        sa.UniqueConstraint("dataset_id", "query_id", name=op.f("uq_dataset_queries_dataset_id_query_id")),
    )
    op.create_table(
        "model_calls",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("unknown_calls", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("estimated_prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated_completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated_cost", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "status <> 'done' OR response IS NOT NULL", name=op.f("ck_model_calls_done_has_response")
        ),
        sa.CheckConstraint(
            "status IN ('open', 'done', 'failed', 'unknown')", name=op.f("ck_model_calls_status")
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_model_calls_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_model_calls")),
    )
    op.create_index(op.f("ix_model_calls_optimization_id"), "model_calls", ["optimization_id"], unique=False)
    op.create_table(
        "optimization_events",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", JSON_VALUE, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_events_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "seq", name=op.f("pk_optimization_events")),
        sa.UniqueConstraint(
            "optimization_id", "key", name=op.f("uq_optimization_events_optimization_id_key")
        ),
    )
    op.create_table(
        "optimization_rounds",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("ranking", JSON_VALUE, nullable=False),
        sa.Column("best_candidate_id", sa.Text(), nullable=True),
        sa.Column("best_reward", sa.Double(), nullable=True),
        sa.Column("spend", JSON_VALUE, nullable=False),
        sa.Column("rounds_left", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_rounds_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "round", name=op.f("pk_optimization_rounds")),
    )
    op.create_table(
        "optimization_decisions",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_decisions_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "name", name=op.f("pk_optimization_decisions")),
    )
    op.create_table(
        "optimization_selections",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("query_sha", sa.Text(), nullable=False),
        sa.Column("selector_model", sa.Text(), nullable=False),
        sa.Column("template_version", sa.Text(), nullable=False),
        sa.Column("selection", JSON_VALUE, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_optimization_selections_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint(
            "optimization_id",
            "query_sha",
            "selector_model",
            "template_version",
            name=op.f("pk_optimization_selections"),
        ),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("example_bank_id", sa.Text(), nullable=True),
        sa.Column("k", sa.BigInteger(), nullable=False),
        sa.Column("sampling", JSON_VALUE, nullable=False),
        sa.Column("optimization_id", sa.Text(), nullable=True),
        sa.Column("candidate_id", sa.Text(), nullable=True),
        sa.Column("evidence", JSON_VALUE, nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["example_bank_id"],
            ["example_banks.id"],
            name=op.f("fk_prompt_versions_example_bank_id_example_banks"),
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_prompt_versions_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_versions")),
        sa.UniqueConstraint("model", "content_hash", name=op.f("uq_prompt_versions_model_content_hash")),
        sa.UniqueConstraint("model", "number", name=op.f("uq_prompt_versions_model_number")),
    )
    op.create_table(
        "evaluations",
        sa.Column("optimization_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("candidate_id", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("query_id", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("query_kind", sa.Text(), nullable=True),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.Column("example_ids", JSON_VALUE, nullable=False),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("unscored_reason", sa.Text(), nullable=True),
        sa.Column("criteria", JSON_VALUE, nullable=False),
        sa.Column("selection_rationale", sa.Text(), nullable=False),
        sa.Column("models", JSON_VALUE, nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint("phase IN ('search', 'held_out')", name=op.f("ck_evaluations_phase")),
        sa.CheckConstraint(
            "(reward IS NULL) <> (unscored_reason IS NULL)", name=op.f("ck_evaluations_scored_or_not")
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id", "candidate_id"],
            ["candidates.optimization_id", "candidates.id"],
            name=op.f("fk_evaluations_optimization_id_candidate_id_candidates"),
        ),
        sa.ForeignKeyConstraint(
            ["optimization_id"],
            ["optimizations.id"],
            name=op.f("fk_evaluations_optimization_id_optimizations"),
        ),
        sa.PrimaryKeyConstraint("optimization_id", "key", name=op.f("pk_evaluations")),
    )
    op.create_index(
        op.f("ix_evaluations_optimization_id_candidate_id"),
        "evaluations",
        ["optimization_id", "candidate_id"],
        unique=False,
    )
    op.create_table(
        "label_moves",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("from_version", sa.Text(), nullable=True),
        sa.Column("to_version", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["from_version"], ["prompt_versions.id"], name=op.f("fk_label_moves_from_version_prompt_versions")
        ),
        sa.ForeignKeyConstraint(
            ["to_version"], ["prompt_versions.id"], name=op.f("fk_label_moves_to_version_prompt_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_moves")),
    )
    op.create_index(
        op.f("ix_label_moves_model_label_id"), "label_moves", ["model", "label", "id"], unique=False
    )
    op.create_table(
        "prompt_labels",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["prompt_versions.id"], name=op.f("fk_prompt_labels_version_id_prompt_versions")
        ),
        sa.PrimaryKeyConstraint("model", "label", name=op.f("pk_prompt_labels")),
    )


def downgrade() -> None:
    op.drop_table("prompt_labels")
    op.drop_table("label_moves")
    op.drop_table("evaluations")
    op.drop_table("prompt_versions")
    op.drop_table("optimization_selections")
    op.drop_table("optimization_decisions")
    op.drop_table("optimization_rounds")
    op.drop_table("optimization_events")
    op.drop_table("model_calls")
    op.drop_table("dataset_queries")
    op.drop_table("candidates")
    op.drop_table("optimizations")
    op.drop_table("example_banks")
    op.drop_table("datasets")
    op.drop_table("criterion_selections")
    op.drop_table("backend_capabilities")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
