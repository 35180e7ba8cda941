"""A PostgreSQL database of the app's own: dumped as of one moment, restored in one transaction."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from restic import Refused
from sqlite_files import Tables, differences

# The app builds the passages and vectors of this schema again.
REBUILT = "retrieval"
DUMP = "database.dump"
END = "end of answer"
SAME_TEXT = """set search_path = ''; set timezone = 'UTC'; set datestyle = 'ISO';
set intervalstyle = 'postgres'; set extra_float_digits = 1; set bytea_output = 'hex';"""
# A sum of hashes: the order of the rows does not matter.
TABLES = f"""{SAME_TEXT}
select format('select %L, count(*), coalesce(sum((''x'' || left(md5((t.*)::text), 15))::bit(60)::bigint), 0)
               from %s t', oid::regclass, oid::regclass)
from pg_class where relkind = 'r' and relpersistence = 'p'
and relnamespace::regnamespace::text !~ '^"?(pg_|information_schema|{REBUILT})' order by oid::regclass::text
\\gexec
"""  # noqa: S608
FREE = "not exists (select from pg_depend where objid = {}.oid and deptype = 'e')"
# Extensions stay, and what belongs to them. All names are found before the first is gone.
EMPTY = f"""set local lock_timeout = '10s';
do $$ begin execute coalesce((select string_agg(command, ';') from (
select format('drop schema %I cascade', nspname) from pg_namespace
    where nspname !~ '^(pg_|public$|information_schema$|{REBUILT}$)'
    and {FREE.format("pg_namespace")}
union all select format('drop %s if exists %s cascade', case relkind when 'v' then 'view'
    when 'm' then 'materialized view' when 'S' then 'sequence' when 'f' then 'foreign table' else 'table' end,
    oid::regclass)
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    and {FREE.format("pg_class")}
union all select format('drop type if exists %s cascade', oid::regtype) from pg_type
    where typnamespace = 'public'::regnamespace and typtype in ('e', 'd') and {FREE.format("pg_type")}
union all select format('drop routine if exists %s cascade', oid::regprocedure) from pg_proc
    where pronamespace = 'public'::regnamespace and {FREE.format("pg_proc")}
) as found (command)), 'select'); end $$;
"""  # noqa: S608


class Postgres:
    """The database of a URL; its password is in the environment of the programs and nowhere else."""

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.environment = environment(url)

    def is_empty(self) -> bool:
        """Whether there is nothing to save."""
        with session(self.environment) as psql:
            owned = f"schemaname !~ '^(pg_|information_schema|{REBUILT})'"
            return not psql.ask(f"select 1 from pg_tables where {owned} limit 1;")  # noqa: S608

    def save(self, folder: Path) -> Tables:
        """Dump it into a folder; the checksums are those of the very rows that are dumped."""
        with session(self.environment) as psql:
            [moment] = psql.ask(
                "begin isolation level repeatable read read only; select pg_export_snapshot();"
            )
            # restic compresses, and finds what is as it was; in a compressed file it would not.
            words = ["--format=custom", "--compress=0", f"--exclude-schema={REBUILT}", f"--snapshot={moment}"]
            run(["pg_dump", *words, f"--file={folder / DUMP}"], self.environment)
            return psql.tables()

    def restore(self, folder: Path, tables: Tables) -> list[str]:
        """Put the dump in the place of all that is there, unless it differs from `tables`: then say how."""
        return load(self.environment, folder, tables)

    def drill(self, folder: Path, tables: Tables) -> list[str]:
        """How a scratch database on the same server, filled from the dump, differs from `tables`."""
        name = f"{self.environment['PGDATABASE']}_drill"
        quoted = '"' + name.replace('"', '""') + '"'
        with session(self.environment) as psql:
            psql.ask(f"drop database if exists {quoted} with (force);")
            psql.ask(f"create database {quoted};")
            try:
                return load({**self.environment, "PGDATABASE": name}, folder, tables)
            finally:
                psql.ask(f"drop database {quoted} with (force);")


class Session:
    """A psql that runs: several questions in one transaction."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def ask(self, script: str) -> list[str]:
        """The rows that a script prints; raise EOFError when psql ended at an error."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(f"{script}\n\\echo {END}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        found: list[str] = []
        for line in self.process.stdout:
            if line.rstrip("\n") == END:
                return found
            found.append(line.rstrip("\n"))
        raise EOFError

    def tables(self) -> Tables:
        """Rows and checksum of each table."""
        rows = [line.rsplit("|", 2) for line in self.ask(TABLES)]
        return {name: [int(count), checksum] for name, count, checksum in rows}


@contextmanager
def session(environment: dict[str, str]) -> Iterator[Session]:
    """A psql until the block ends; raise Refused with what it said. What was not committed is undone."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
        try:
            yield Session(process)
        except EOFError:
            process.wait()
            said.seek(0)
            raise Refused(explain("psql", said.read())) from None
        finally:
            process.kill()
            process.communicate()


def load(environment: dict[str, str], folder: Path, tables: Tables) -> list[str]:
    """Empty a database and fill it from a dump, in one transaction that a difference from `tables` undoes."""
    script = folder / "database.sql"
    run(["pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(folder / DUMP)], environment)
    with session(environment) as psql:
        psql.ask(f"begin;\n{EMPTY}")
        psql.ask(f"\\i {script}")
        differing = differences(tables, psql.tables())
        psql.ask("rollback;" if differing else "commit;")
        return differing


def environment(url: str) -> dict[str, str]:
    """What libpq's programs are told instead of arguments, which every process could read."""
    parts = urlsplit(url)
    told = {
        "PGHOST": parts.hostname, "PGPORT": str(parts.port or ""), "PGDATABASE": unquote(parts.path[1:]),
        "PGUSER": unquote(parts.username or ""), "PGPASSWORD": unquote(parts.password or ""),
        "PGCONNECT_TIMEOUT": "10", "PATH": os.environ["PATH"],
    }  # fmt: skip
    told |= {f"PG{name.upper()}": value for name, value in parse_qsl(parts.query)}
    return {name: value for name, value in told.items() if value}


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run one of PostgreSQL's programs; raise Refused with its last lines."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(explain(command[0], done.stderr))


def explain(program: str, said: str) -> str:
    """The last lines of a program, and the remedy where it is known."""
    remedies = {
        "server version mismatch": "; build the server's tools on a base with PostgreSQL's newer programs",
        "password authentication": "; mend APP_DATABASE_URL: uv run ops secrets edit STAGE",
        "permission denied to create database": "; the drill needs it: ALTER ROLE ... CREATEDB",
        "No space left": "; free space on the machine (docker system df)",
        "lock timeout": "; something else has the tables open: stop it and run this again",
    }
    remedy = next((told for sign, told in remedies.items() if sign in said), "")
    return f"{program}: " + "\n".join(said.strip().splitlines()[-4:]) + remedy
