"""The database: migrations that make exactly the tables, and say what is missing."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from app import db


@pytest.fixture
async def engine(tmp_path):
    """An empty SQLite file."""
    opened = db.connect(f"sqlite+aiosqlite:///{tmp_path}/new/app.db")
    yield opened
    await opened.dispose()


async def differences(engine) -> list[object]:
    """What alembic would still change."""
    async with engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), db.Base.metadata)
        )


async def move(engine, step, revision: str) -> None:
    """Run an alembic command on the open database."""

    def run(connection):
        config = Config()
        config.set_main_option("script_location", str(db.MIGRATIONS))
        config.attributes["connection"] = connection
        step(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_the_migrations_make_the_tables_that_the_code_declares(engine):
    await db.migrate(engine)
    assert await differences(engine) == []


async def test_an_empty_database_differs_from_the_tables(engine):
    assert len(await differences(engine)) > 2


async def test_down_and_up_again_ends_at_the_same_tables(engine):
    await db.migrate(engine)
    await move(engine, command.downgrade, "base")
    async with engine.connect() as connection:
        left = await connection.exec_driver_sql("select name from sqlite_master where type = 'table'")
        assert left.scalars().all() == ["alembic_version"]
    await move(engine, command.upgrade, "head")
    assert await differences(engine) == []


async def test_migrating_twice_changes_nothing(engine):
    await db.migrate(engine)
    await db.migrate(engine)
    assert await db.check(engine) == ""


async def test_tables_of_another_revision_name_the_command(engine):
    assert "at revision None, the app needs" in await db.check(engine)
    assert "uv run app setup" in await db.check(engine)


async def test_a_database_that_does_not_answer_is_said_without_its_address(tmp_path):
    (tmp_path / "app.db").write_bytes(b"this is no database file, but long enough to be read as one" * 20)
    engine = db.connect(f"sqlite+aiosqlite:///{tmp_path}/app.db")
    assert await db.check(engine) == "the database does not answer (DatabaseError)"
    await engine.dispose()


async def test_sqlite_readers_do_not_wait_for_the_writer(engine):
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("pragma journal_mode")).scalar() == "wal"
        assert (await connection.exec_driver_sql("pragma foreign_keys")).scalar() == 1


def test_every_migration_can_be_undone():
    for path in (Path(db.__file__).parent / "migrations/versions").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "def downgrade() -> None:" in text, path.name
        assert "pass" not in text.partition("def downgrade")[2], path.name
