"""A stage on this machine's Docker engine, as a deploy leaves it: volumes, a network, an app that runs."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from tests import engine, services
from tests.rendered import Project

SLUG = "bk-desk"
IMAGE = f"{SLUG}-server:test"
NAME = f"{SLUG}-staging"
PASSWORD, DATABASE_PASSWORD = "kept-by-restic-alone", "known-to-postgres-alone"
VOLUMES = ("data", "backups", "secrets-1")


def docker(*words: str, given: str = "", code: int = 0) -> str:
    """Run docker's command and return what it prints; another exit code than expected fails the test."""
    done = subprocess.run(["docker", *words], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Running:
    """What the tests ask of the stage."""

    project: Project
    secrets: dict[str, str] = field(default_factory=lambda: {"app_backup_password": PASSWORD})

    def keep(self, **secrets: str) -> None:
        """Write the secrets as a deploy does: files in a volume that the app's user alone reads."""
        self.secrets |= secrets
        script = "import json, os, sys\nfor name, value in json.load(sys.stdin).items():\n"
        script += (
            " path = '/s/' + name; os.path.exists(path) and os.remove(path); open(path, 'w').write(value)\n"
        )
        script += " os.chown(path, 10001, 10001); os.chmod(path, 0o400)"
        words = ["run", "--rm", "-i", "-u", "0", "--network", "none", "-v", f"{NAME}-secrets-1:/s"]
        docker(*words, IMAGE, "python3", "-c", script, given=json.dumps(self.secrets))

    def ops(self, *words: str, code: int = 0) -> str:
        """Run one of the project's commands and return what it prints."""
        done = self.project.run("ops", *words)
        assert done.returncode == code, done.stdout
        return done.stdout

    def python(self, script: str, code: int = 0) -> str:
        """Run a script of the app's user on the stage's volumes, network and secrets."""
        mounts = ("data:/app/var", "backups:/backups", "secrets-1:/run/secrets")
        volumes = [word for mount in mounts for word in ("-v", f"{NAME}-{mount}")]
        words = ["run", "--rm", "-i", "--network", NAME, *volumes, IMAGE, "python3", "-"]
        return docker(*words, given=script, code=code)

    def sql(self, script: str) -> str:
        """Run SQL on the SQLite database; returns its rows."""
        run = "import sqlite3; c = sqlite3.connect('/app/var/app.db'); c.execute('pragma journal_mode=wal')\n"
        run += f"for one in {script.split(';')!r}: print(*c.execute(one).fetchall())\nc.commit()"
        return self.python(run).strip()

    def rules(self, text: str) -> None:
        """Write the stage's rules for backups."""
        file = self.project.root / "config" / "deploy.toml"
        file.write_text(f"[stages.staging.backup]\n{text}\n", encoding="utf-8")


@contextmanager
def filled(source: Project, folder: Path) -> Iterator[Running]:
    """A stage of a project with 2000 rows in SQLite and one page; its server's tools are built."""
    engine.start()
    root = folder / "project"
    shutil.copytree(source.root, root)
    engine.image(root / "infra/server", IMAGE)
    # The stage's name is one for all test workers.
    with FileLock(engine.CACHE / "backup-stage.lock"), stage(Project(root, source.cache)) as running:
        running.sql(
            "create table usage (id text primary key, said text);"
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) "
            "insert into usage select hex(randomblob(8)), hex(randomblob(90)) from n"
        )
        page = "import pathlib; folder = pathlib.Path('/app/var/documents/t'); folder.mkdir(parents=True)\n"
        running.python(page + "(folder / 'page.md').write_text('first')")
        yield running


@contextmanager
def stage(project: Project) -> Iterator[Running]:
    """A stage that runs until the block ends; then nothing of it is left."""
    remove()
    docker("network", "create", NAME)
    running = Running(project)
    try:
        running.keep()
        labels = ("--label", f"deploy.app={NAME}", "--label", "deploy.role=web", "--network", NAME)
        secrets = ("-v", f"{NAME}-secrets-1:/run/secrets:ro")
        docker(
            "run", "-d", "--init", "--name", f"{NAME}-web-1", *labels, *secrets, IMAGE, "sleep", "infinity"
        )
        running.rules("")
        yield running
    finally:
        remove()


def remove() -> None:
    """Take away what a stage has on the engine."""
    containers = docker("ps", "-aq", "--filter", f"label=deploy.app={NAME}").split()
    if containers:
        docker("rm", "-f", "-v", *containers)
    for kind, names in (("volume", [f"{NAME}-{volume}" for volume in VOLUMES]), ("network", [NAME])):
        subprocess.run(["docker", kind, "rm", *names], capture_output=True, check=False)


def gateway() -> str:
    """The address of this machine in the stage's network."""
    return docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", NAME).strip()


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL that the stage's network reaches, and that asks for a password; gives its URL."""
    user = "nobody" if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="slipway-pg-")), services.free_port()
    (folder / "pw").write_text(DATABASE_PASSWORD, encoding="utf-8")
    data = folder / "data"
    for place in (folder, folder / "pw"):
        if user:
            shutil.chown(place, user)
    initdb = [
        services.program("initdb"),
        "-D",
        str(data),
        "-U",
        "app",
        f"--pwfile={folder / 'pw'}",
        "--no-sync",
    ]
    subprocess.run([*initdb, "--auth=scram-sha-256"], check=True, capture_output=True, user=user, cwd=folder)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\nhost all all 172.16.0.0/12 scram-sha-256\n")
    listen = f"127.0.0.1,{gateway()}"
    command = [
        services.program("postgres"),
        "-D",
        str(data),
        "-h",
        listen,
        "-p",
        str(port),
        "-k",
        str(folder),
    ]
    url = f"postgresql+psycopg://app:{DATABASE_PASSWORD}@{gateway()}:{port}/postgres"
    with services.running(url, command, port, folder, user) as server:
        yield server.url


def psql(url: str, script: str) -> str:
    """What psql prints of a script."""
    command = [
        services.program("psql"),
        url.replace("+psycopg", ""),
        "-AtqX",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        script,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
