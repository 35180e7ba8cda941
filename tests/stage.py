"""A stage of a rendered project on the real engine: commits, deploys, and what a client gets meanwhile."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import engine, frontends, services
from tests.engine import docker
from tests.rendered import Project
from tools import git

SLUG = "ship-desk"
SECRETS = ("APP_PEPPER", "APP_METRICS_KEY", "APP_BACKUP_PASSWORD")
CONFIG = "config/deploy.toml"
RULES: Mapping[str, object] = {
    "hosts": ["local"], "gate": False, "workers": 1, "replay": 2, "keep": 2, "drain_s": 5, "ready_s": 60,
}  # fmt: skip
# The p95 of a busy test machine decides nothing.
CANARY: Mapping[str, object] = {
    "steps": [25, 50], "bake_s": 2, "tick_s": 0.5, "min_requests": 40, "max_wait_s": 60, "max_p95_ms": 9000,
}  # fmt: skip
AT_ONCE: Mapping[str, object] = {"steps": []}
WEB = "app/web.py"
# Every version says its name and where it runs, and shows which headers reach it.
ECHO = """    @app.get("/echo", include_in_schema=False)
    async def echo(request: Request) -> dict[str, str]:
        where = __import__("platform").node()
        return {**request.headers, "version": plan.settings.title, "where": where}

"""
HEALTHZ = '    @app.get("/healthz"'
QUESTION = "What is an error budget? Number"


@dataclass
class Stage:
    """A stage and the project that is deployed to it."""

    project: Project
    name: str
    port: int
    rules: Mapping[str, object] = field(default_factory=dict)
    key: str = ""

    @property
    def prefix(self) -> str:
        """What every name on the engine begins with."""
        return f"{SLUG}-{self.name}"

    def write(self, canary: Mapping[str, object] = CANARY, **rules: object) -> None:
        """Write the rules of the stage; git is told not to look, so that they make no new version."""
        top = {**RULES, "port": self.port, **self.rules, **rules}
        tables = ((f"stages.{self.name}", top), (f"stages.{self.name}.canary", {**CANARY, **canary}))
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in t.items()) for name, t in tables
        ]
        (self.project.root / CONFIG).write_text("\n".join(lines), encoding="utf-8")

    def commit(self, title: str, *changes: tuple[str, str, str]) -> str:
        """Commit a version with this title, changed in (file, old text, new text); return its name."""
        app = self.project.root / "config/app.toml"
        rest = [line for line in app.read_text("utf-8").splitlines() if not line.startswith("title =")]
        app.write_text(f"title = {json.dumps(title)}\n" + "\n".join(rest) + "\n", encoding="utf-8")
        for name, old, new in changes:
            path = self.project.root / name
            text = path.read_text("utf-8") if path.exists() else ""
            assert old in text, f"{name} holds no {old!r}"
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        frontends.save(self.project.root, title)
        return self.version

    def restore(self, version: str) -> None:
        """Make the files those of a version again, so that the next commit grows out of it."""
        git.run(self.project.root, "reset", "--quiet", "--hard", version)

    @property
    def version(self) -> str:
        """The commit that would be deployed."""
        return git.run(self.project.root, "rev-parse", "HEAD")[:12]

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start one of the project's commands, in a process group of its own."""
        more = {"AGE_KEY_FILE": str(self.project.cache / "age.key"), "PYTHON_IMAGE": engine.BASE}
        # A shell's background job would hand on that Ctrl-C is ignored.
        program = ("env", "--default-signal=INT", str(self.project.venv / "bin/ops"))
        return subprocess.Popen(
            [*program, *words], cwd=self.project.root, text=True,
            env=self.project.environment() | more | environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def ops(self, *words: str, code: int = 0, given: str = "", **environment: str) -> str:
        """Run one of the project's commands; another exit code than expected fails the test."""
        process = self.start(*words, **environment)
        said, _ = process.communicate(given, timeout=300)
        assert process.returncode == code, f"ops {' '.join(words)}: exit {process.returncode}\n{said[-6000:]}"
        return said

    def deploy(self, code: int = 0, **environment: str) -> str:
        """Deploy what is checked out."""
        return self.ops("deploy", self.name, "--json", code=code, **environment)

    def status(self) -> dict[str, Any]:
        """What `ops status` says of the first machine."""
        return dict(json.loads(self.ops("status", self.name, "--json").splitlines()[0]))

    def state(self) -> dict[str, Any]:
        """The file on the server that says what runs."""
        return dict(json.loads(docker("exec", f"{self.prefix}-lb", "cat", "/state/state.json")))

    def names(self, kind: str = "container", *filters: str) -> list[str]:
        """The stage's containers, volumes or networks, sorted; containers that stand still too."""
        words = [word for one in (f"label=deploy.app={self.prefix}", *filters) for word in ("--filter", one)]
        if kind == "container":
            return sorted(docker("ps", "-a", *words, "--format", "{{.Names}}").split())
        return sorted(docker(kind, "ls", *words, "--format", "{{.Name}}").split())

    def running(self, role: str) -> list[str]:
        """The containers of a role that run."""
        return self.names("container", f"label=deploy.role={role}", "status=running")

    def tools(self) -> str:
        """The image of the server's tools that its proxy runs; others may be left of earlier runs."""
        return docker("inspect", "--format", "{{.Config.Image}}", f"{self.prefix}-lb").strip()

    def picture(self) -> str:
        """All that a command could change: containers, volumes, the state and the audit."""
        label = f"label=deploy.app={self.prefix}"
        shown = docker(
            "ps", "-a", "--filter", label, "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"
        )
        kept = docker("exec", f"{self.prefix}-lb", "cat", "/state/state.json", "/state/audit.jsonl")
        return "\n".join([*sorted(shown.splitlines()), *self.names("volume"), kept])

    def get(self, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request; status 0 where no answer came."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, sent)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                return int(reply.status), dict(json.load(reply))
        except urllib.error.HTTPError as error:
            return error.code, {"said": error.read().decode(errors="replace")}
        except (OSError, ValueError) as error:
            return 0, {"said": repr(error)}

    def ask(self, number: int = 1) -> tuple[int, dict[str, Any]]:
        """Ask a question of a number of its own."""
        return self.get("/v1/answer", {"question": f"{QUESTION} {number}"})

    def served(self, **headers: str) -> str:
        """The title of the version that answers."""
        return str(self.get("/echo", **headers)[1].get("version", ""))


def kill(process: subprocess.Popen[str], how: int = signal.SIGKILL) -> str:
    """Send a command's whole group a signal; return what it had said."""
    os.killpg(process.pid, how)
    said, _ = process.communicate(timeout=60)
    return said


def until_told(process: subprocess.Popen[str], word: str) -> list[str]:
    """Read a command's lines until one holds a word; fail the test if it ends before."""
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"ended before '{word}':\n{''.join(lines)}")


@contextmanager
def deployed(source: Project, folder: Path, name: str, **rules: object) -> Iterator[Stage]:
    """A stage that serves its first version, and a tenant whose key it knows; nothing of it is left."""
    engine.start()
    stage = prepared(source, folder, name, **rules)
    try:
        stage.deploy()
        stage.key = tenant(stage)
        yield stage
    finally:
        remove(stage)
        remove_images(stage)


def prepared(source: Project, folder: Path, name: str, **rules: object) -> Stage:
    """A project of its own with rules, secrets, uv.lock and one commit; nothing is deployed yet."""
    root = folder / "project"
    subprocess.run(["cp", "-r", str(source.root), str(root)], check=True)
    stage = Stage(Project(root, folder), name, services.free_port(), rules)
    (root / "config/app.toml").open("a").write("canary_lease_s = 5\n")
    stage.write()
    frontends.start_history(root)
    git.run(root, "update-index", "--skip-worktree", CONFIG)
    stage.project.check("ops", "--help")
    stage.ops("secrets", "init")
    for secret in SECRETS:
        stage.ops("secrets", "set", name, secret, "--generate")
    stage.commit("first", (WEB, HEALTHZ, ECHO + HEALTHZ))
    return stage


def tenant(stage: Stage) -> str:
    """Make a tenant that may ask a lot; return its key."""
    [web] = stage.running("web")
    docker("exec", web, "app", "tenant", "add", "client-one")
    docker("exec", web, "app", "tenant", "rate", "client-one", "60000")
    return docker("exec", web, "app", "tenant", "key", "client-one").split()[0]


def remove(stage: Stage) -> None:
    """Take away what the stage has on the engine, but for its images."""
    for kind in ("container", "volume", "network"):
        for name in stage.names(kind):
            docker(kind, "rm", *(["--force"] if kind != "network" else []), name)
    for volume in docker("volume", "ls", "--filter", f"name={stage.prefix}-", "--quiet").split():
        docker("volume", "rm", "--force", volume)


def remove_images(stage: Stage) -> None:
    """Take away the images of the stage's versions."""
    for tag in docker("images", "--format", "{{.Repository}}:{{.Tag}}", stage.prefix).split():
        docker("rmi", "--force", tag)
