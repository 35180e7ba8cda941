"""Limits of a tenant, key rotation, spending by month, results and conversations, alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXTS = ("user_id", "variant", "policy")


def upgrade() -> None:
    """Add what the request path keeps."""
    op.add_column("tenant", sa.Column("budget_tokens", sa.BigInteger()))
    op.add_column("tenant", sa.Column("rate_per_minute", sa.Integer()))
    op.add_column("api_key", sa.Column("expires_at", sa.DateTime(timezone=True)))
    for name in TEXTS:
        op.add_column("usage", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column("usage", sa.Column("failed_models", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("usage", sa.Column("estimated", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "spend",
        sa.Column("tenant_id", sa.String(), primary_key=True),
        sa.Column("month", sa.String(), primary_key=True),
        sa.Column("usd", sa.Numeric(14, 8), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "result",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("tenant_id", sa.String(), nullable=False, index=True),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("conversation_id", sa.String(), nullable=False, index=True),
        sa.Column("feature", sa.String(), nullable=False),
        sa.Column("given", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False, index=True),
        sa.Column("body", sa.JSON()),
        sa.Column("summary", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("said", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("notified_at", sa.DateTime(timezone=True)),
        sa.Column("mailed_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
    )
    is_open = sa.text("resolved_at is null")
    op.create_index(
        "alert_open", "alert", ["name", "subject", "severity"],
        unique=True, sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip


def downgrade() -> None:
    """Take it out again."""
    for table in ("alert", "result", "spend"):
        op.drop_table(table)
    with op.batch_alter_table("usage") as usage:
        for name in (*TEXTS, "failed_models", "estimated"):
            usage.drop_column(name)
    with op.batch_alter_table("api_key") as keys:
        keys.drop_column("expires_at")
    with op.batch_alter_table("tenant") as tenant:
        for name in ("budget_tokens", "rate_per_minute"):
            tenant.drop_column(name)
