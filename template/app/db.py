"""The database: tables, the engine by URL, and its migrations. SQLite by default, Postgres by another URL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, Numeric, event, exc, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql import Select
from sqlalchemy.sql.dml import UpdateBase

from app.errors import ConfigError, Fault, Unavailable

# A database that restarts, is locked for too long, or has no room on its disk: later the same will work.
AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
MIGRATIONS = Path(__file__).parent / "migrations"
SAID = "the database is away; try again in a few seconds"
Json = dict[str, Any]
T = TypeVar("T")


def now() -> datetime:
    """The time in UTC, as every column holds it."""
    return datetime.now(UTC)


def aware(at: datetime) -> datetime:
    """A time of the database with its zone: SQLite leaves it out."""
    return at.replace(tzinfo=at.tzinfo or UTC)


class Base(DeclarativeBase):
    """Root of the tables."""


class Tenant(Base):
    """A client of the app: who asks, and who pays."""

    __tablename__ = "tenant"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    paused: Mapped[bool] = mapped_column(default=False)
    budget_usd: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    budget_tokens: Mapped[int | None] = mapped_column(BigInteger)
    rate_per_minute: Mapped[int | None]
    shadow: Mapped[bool] = mapped_column(default=False)  # a candidate may be asked the same beside
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)


class ApiKey(Base):
    """A tenant's key; only its keyed hash is stored."""

    __tablename__ = "api_key"
    hash: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), index=True)
    hint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Usage(Base):
    """One request, whatever became of it: dashboards, budgets and billing read these rows."""

    __tablename__ = "usage"
    __table_args__ = (
        Index("usage_arm", "arm", "at", sqlite_where=text("arm <> ''"), postgresql_where=text("arm <> ''")),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    tenant_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str] = mapped_column(default="")
    feature: Mapped[str]
    prompt: Mapped[str]
    variant: Mapped[str] = mapped_column(default="")
    model: Mapped[str]
    policy: Mapped[str] = mapped_column(default="")
    outcome: Mapped[str]
    cached: Mapped[bool]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost_usd: Mapped[Decimal | None] = mapped_column(Numeric(14, 8))
    latency_ms: Mapped[float]
    first_token_ms: Mapped[float | None]
    flags: Mapped[list[str]] = mapped_column(JSON)
    failed_models: Mapped[int] = mapped_column(default=0)
    estimated: Mapped[bool] = mapped_column(default=False)
    arm: Mapped[str] = mapped_column(default="")  # of a rollout or an experiment
    quality: Mapped[float | None]


class Spend(Base):
    """What a tenant spent in a month, added up in the transaction that writes its usage rows."""

    __tablename__ = "spend"
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    usd: Mapped[Decimal] = mapped_column(Numeric(14, 8))
    tokens: Mapped[int] = mapped_column(BigInteger)


class Result(Base):
    """A request and its answer, kept for its tenant until `expires_at`; with a conversation it is a turn."""

    __tablename__ = "result"
    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str] = mapped_column(default="")
    conversation_id: Mapped[str] = mapped_column(default="", index=True)
    feature: Mapped[str]
    given: Mapped[Json] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(index=True)  # waiting, running, done or failed
    body: Mapped[Json | None] = mapped_column(JSON)
    summary: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class Alert(Base):
    """A promise that is being broken: open until `resolved_at`, and open once."""

    __tablename__ = "alert"
    __table_args__ = (
        Index("alert_open", "name", "subject", "severity", unique=True,
              sqlite_where=text("resolved_at is null"), postgresql_where=text("resolved_at is null")),
    )  # fmt: skip
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    subject: Mapped[str]
    severity: Mapped[str]
    said: Mapped[str]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, index=True)
    notified_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))  # by webhook
    mailed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    resolved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def connect(url: str) -> AsyncEngine:
    """Open the engine; raise ConfigError for a URL that cannot be one."""
    try:
        return engine_for(url)
    except (exc.ArgumentError, exc.InvalidRequestError, ImportError, OSError) as error:
        what = f"{type(error).__name__}; write sqlite+aiosqlite:///var/app.db, "
        what += "or after 'uv sync --extra postgres' postgresql+psycopg://user:<password>@host/name"
        raise ConfigError([Fault(Path("settings"), "database_url", what)]) from error


def engine_for(url: str) -> AsyncEngine:
    """A local SQLite file gets its folder, and the pragmas that make it safe to share."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url)
    event.listen(engine.sync_engine, "connect", prepare_sqlite)
    return engine


@contextmanager
def reached() -> Iterator[None]:
    """Raise Unavailable where the database is away."""
    try:
        yield
    except AWAY as error:
        raise Unavailable(SAID) from error


def prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Readers do not wait for the writer; a second writer waits instead of failing."""
    for pragma in ("journal_mode=wal", "synchronous=normal", "busy_timeout=10000", "foreign_keys=on"):
        connection.execute(f"pragma {pragma}").close()


async def rows(engine: AsyncEngine, query: Select[T]) -> list[T]:
    """What a query finds."""
    async with AsyncSession(engine) as session:
        return list(await session.scalars(query))


async def execute(engine: AsyncEngine, statement: UpdateBase) -> int:
    """Run one statement in a transaction of its own; returns how many rows it changed."""
    async with engine.begin() as connection:
        return (await connection.execute(statement)).rowcount


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables to the newest revision; doing it twice changes nothing."""
    from alembic import command  # only setup needs it: it would weigh on every process
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def upgrade(connection: object) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # what serves must not queue up behind a waiting ALTER
            await connection.execute(text("set local lock_timeout = '5s'"))
        await connection.run_sync(upgrade)


async def check(engine: AsyncEngine) -> str:
    """What is wrong with the database, or nothing."""
    newest, found = max(path.stem[:4] for path in MIGRATIONS.glob("versions/0*.py")), None
    try:
        async with engine.connect() as connection:
            if await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                found = await connection.scalar(text("select version_num from alembic_version"))
    except (exc.SQLAlchemyError, OSError) as error:
        return f"the database does not answer ({type(error).__name__})"
    if found != newest:
        return f"the tables are at revision {found}, the app needs {newest}: run 'uv run app setup'"
    return ""


async def require(engine: AsyncEngine) -> None:
    """Raise ConfigError unless the database answers with the newest tables."""
    if fault := await check(engine):
        raise ConfigError([Fault(Path("database"), "", fault)])
