"""What stands in the way of a deploy is told in one message with its remedy, and nothing is changed."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from tests import engine
from tests.stage import Stage
from tools import git

REPORT = "var/reports/report.json"


@contextmanager
def untouched(desk: Stage) -> Iterator[None]:
    """Fail unless the block leaves containers, volumes, state and audit as they were, and the app serving."""
    before = desk.picture()
    yield
    assert desk.picture() == before
    assert desk.ask()[0] == 200


def refused(desk: Stage, *said: str, **environment: str) -> None:
    """A deploy ends with exit code 2, no traceback, and a message that says each of these."""
    with untouched(desk):
        told = desk.deploy(code=2, **environment)
    missing = [one for one in said if one not in told]
    assert not missing, f"{missing} not in:\n{told}"
    assert "Traceback" not in told


def test_an_unknown_stage(desk: Stage) -> None:
    with untouched(desk):
        told = desk.ops("deploy", "stagin", code=2)
    assert told.strip() == f"no stage 'stagin' in config/deploy.toml (known: {desk.name})"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"kep": 2}, ["config/deploy.toml", "unknown key", "'kep'; did you mean 'keep'?"]),
        ({"hosts": ["root@box"]}, ["'root@box' is neither 'local' nor ssh://user@host"]),
        ({"workers": -1, "port": 0}, ["workers", "port"]),
        ({"gate": True}, ["the gate passed for this commit: no; there is no report: uv run gate all"]),
    ],
)
def test_rules_that_cannot_be(desk: Stage, rules: dict[str, Any], said: list[str]) -> None:
    desk.write(**rules)
    refused(desk, *said)


def test_several_hosts_that_share_no_database(desk: Stage) -> None:
    desk.write(hosts=["local", "ssh://nobody@127.0.0.1:1"])
    refused(desk, "APP_DATABASE_URL must be a postgresql URL: uv run ops secrets set", "Connection refused")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("ssh://root@127.0.0.1:1", "Connection refused"),
        ("ssh://root@no-such-host.invalid", "Could not resolve hostname no-such-host.invalid"),
    ],
)
def test_a_host_that_does_not_answer(desk: Stage, target: str, said: str) -> None:
    desk.write(hosts=[target])
    refused(desk, f"{target}: ssh: ", said, f"mend host, user and key until this works: ssh {target}")


def test_no_engine(desk: Stage, tmp_path: Path) -> None:
    said = "local: no Docker engine answers", "start it, or set DOCKER_HOST"
    refused(desk, *said, DOCKER_HOST=f"unix://{tmp_path}/docker.sock")


def test_an_engine_that_is_too_old(desk: Stage, tmp_path: Path) -> None:
    with old_engine(tmp_path / "d.sock") as url:
        refused(desk, "local: the engine's API is 1.24, 1.41 is needed: update Docker", DOCKER_HOST=url)


@contextmanager
def old_engine(place: Path) -> Iterator[str]:
    """A server on a socket that says it is an engine of 2016."""

    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            body = json.dumps({"Version": "1.12.6", "ApiVersion": "1.24"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingUnixStreamServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            return super().get_request()[0], ("local", 0)

    with Server(str(place), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"unix://{place}"
        server.shutdown()


def test_a_port_that_another_container_has(desk: Stage) -> None:
    with engine.container("--publish", "127.0.0.1::80", engine.BASE, "sleep", "600") as name:
        port = engine.port(name)
        desk.write(port=port)
        refused(desk, f"port {port} is free: no; {name} has it: stop it, or change the port")


def test_a_secret_that_is_missing(desk: Stage) -> None:
    sealed = desk.project.root / f"secrets/{desk.name}.env.age"
    sealed.unlink()
    desk.ops("secrets", "set", desk.name, "APP_PEPPER", "--generate")
    desk.commit("lacks")
    for name in ("APP_METRICS_KEY", "APP_BACKUP_PASSWORD"):
        refused(desk, f"{name}: uv run ops secrets set {desk.name} {name} --generate")


def test_secrets_that_another_key_encrypted(desk: Stage, tmp_path: Path) -> None:
    other = str(tmp_path / "age.key")
    told = desk.ops("secrets", "init", code=2, AGE_KEY_FILE=other)
    assert "your new key reads nothing yet; a recipient must let it in: " in told
    said = f"secrets/{desk.name}.env.age: cannot be read with your key", "ask one of the recipients to add"
    refused(desk, *said, AGE_KEY_FILE=other)
    refused(desk, "no age key in AGE_KEY or", "uv run ops secrets init", AGE_KEY_FILE=str(tmp_path / "none"))


def test_a_work_tree_that_is_no_commit(desk: Stage) -> None:
    notes = desk.project.root / "features/notes.txt"
    notes.write_text("not committed", encoding="utf-8")
    try:
        refused(
            desk, "the work tree differs from its commit; commit or stash first:", "?? features/notes.txt"
        )
    finally:
        notes.unlink()


def test_a_commit_without_locked_libraries(desk: Stage) -> None:
    git.run(desk.project.root, "rm", "--quiet", "uv.lock")
    desk.commit("unlocked")
    refused(desk, "uv.lock", "uv lock")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"passed": False, "commit": "HEAD"}, "the report says no: see var/reports/report.html"),
        ({"passed": True, "commit": "f" * 40}, "its last report is of ffffffffffff: uv run gate all"),
        ({"passed": True, "commit": ""}, "its last report is of files that were not committed"),
        ({"commit": "HEAD"}, "report.json cannot be read"),
    ],
)
def test_a_report_of_the_gate_that_does_not_allow_it(desk: Stage, report: dict[str, Any], said: str) -> None:
    if report["commit"] == "HEAD":
        report = {**report, "commit": git.run(desk.project.root, "rev-parse", "HEAD")}
    place = desk.project.root / REPORT
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(report), encoding="utf-8")
    desk.write(gate=True)
    try:
        refused(desk, "the gate passed for this commit: no; ", said)
    finally:
        place.unlink()


def test_a_version_that_is_not_kept(desk: Stage) -> None:
    with untouched(desk):
        said = desk.ops("rollback", desk.name, "0123456789ab", code=2)
    assert "0123456789ab is not kept here (kept: " in said


def test_destroy_that_is_not_confirmed(desk: Stage) -> None:
    with untouched(desk):
        said = desk.ops("destroy", desk.name, "--confirm", "staging", code=2)
    assert "not confirmed; nothing was removed" in said
