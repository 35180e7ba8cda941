"""What was changed of the flags, rollouts and experiments, shadow answers, incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = ("incident", "shadow", "trial_event", "trial", "flag_revision")


def upgrade() -> None:
    """Add what releases of prompts and models keep."""
    op.add_column("tenant", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("usage", sa.Column("arm", sa.String(), nullable=False, server_default=""))
    op.add_column("usage", sa.Column("quality", sa.Double()))
    in_trial = sa.text("arm <> ''")
    op.create_index("usage_arm", "usage", ["arm", "at"], sqlite_where=in_trial, postgresql_where=in_trial)
    add_trials()
    add_evidence()


def add_trials() -> None:
    """Add the flags' revisions, and rollouts and experiments with their events."""
    op.create_table(
        "flag_revision",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *texts("actor", "reason"),
        sa.Column("document", sa.JSON(), nullable=False),
    )
    op.create_table(
        "trial",
        sa.Column("id", sa.String(), primary_key=True),
        *texts("kind", "feature", "state", "said", "actor"),
        sa.Column("arms", sa.JSON(), nullable=False),
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stepped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    is_open = sa.text("ended_at is null")
    op.create_index(
        "trial_open", "trial", ["feature"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_table(
        "trial_event",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("trial_id", sa.String(), sa.ForeignKey("trial.id"), nullable=False, index=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *texts("actor", "what", "said"),
        sa.Column("seen", sa.JSON(), nullable=False),
    )


def add_evidence() -> None:
    """Add what candidates answered unseen, and incidents."""
    op.create_table(
        "shadow",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("trial_id", sa.String(), nullable=False, index=True),
        sa.Column("state", sa.String(), nullable=False, index=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        *texts("tenant_id", "user_id"),
        sa.Column("given", sa.JSON()),
        sa.Column("stable", sa.JSON(), nullable=False),
        sa.Column("candidate", sa.JSON()),
        sa.Column("tokens", sa.Integer(), nullable=False),
    )
    op.create_table(
        "incident",
        sa.Column("id", sa.String(), primary_key=True),
        *texts("feature", "cause", "said"),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("restored_at", sa.DateTime(timezone=True)),
        sa.Column("cases", sa.JSON(), nullable=False),
    )


def texts(*names: str) -> list[sa.Column[str]]:
    """Columns of text."""
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def downgrade() -> None:
    """Take it out again."""
    for table in TABLES:
        op.drop_table(table)
    op.drop_index("usage_arm", "usage")
    with op.batch_alter_table("usage") as usage:
        for name in ("arm", "quality"):
            usage.drop_column(name)
    with op.batch_alter_table("tenant") as tenant:
        tenant.drop_column("shadow")
