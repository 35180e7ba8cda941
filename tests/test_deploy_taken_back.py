"""A version that is not good enough never takes over: it goes by itself, and the old one serves."""

import signal
import time

import pytest

from tests import stage as stages
from tests.conftest import ROOT
from tests.stage import WEB, Stage
from tests.traffic import load

ASKED = "        held: Services = request.app.state.services\n        key = "
READY = """    @app.get("/readyz", include_in_schema=False)
    async def readyz(request: Request) -> Response:
"""
UNREADY = f"""    print("no index", flush=True)
{READY}        return JSONResponse({{}}, 503)
"""
SERVES = "    Draining(config, app, drain_s).run()"
MIGRATION = "app/migrations/versions/0099_broken.py"
NEWEST = max(path.name[:4] for path in (ROOT / "template/app/migrations/versions").glob("0*.py"))
BROKEN = '''"""Broken."""

from alembic import op

revision, down_revision = "0099", "NEWEST"


def upgrade() -> None:
    """Reads what is not there."""
    op.execute("select * from nowhere")
'''.replace("NEWEST", NEWEST)
FINISHES = '    return {"answer": said.strip(),'


def holds(desk: Stage, version: str, title: str, gone: str) -> None:
    """The version of before serves, the state is at rest, and nothing of the other one runs."""
    found = desk.status()
    assert (found["stable"], found["phase"], found["coming"], found["share"]) == (version, "idle", "", 0)
    assert [slot["version"] for slot in found["slots"].values() if slot["version"]] == [version]
    assert desk.served() == title
    assert not [name for role in ("web", "worker") for name in desk.running(role) if gone in name]
    assert not desk.names("container", "label=deploy.role=lock")


def test_a_canary_with_20_percent_errors_is_taken_back(desk: Stage) -> None:
    before, title = desk.version, desk.served()
    wrong = '        if str(body).rstrip("\'")[-1] in "36":\n            raise RuntimeError("one in five")\n'
    gone = desk.commit("errs", (WEB, ASKED, wrong + ASKED))
    with load(desk) as asked:
        said = desk.deploy(code=1)
        seen = len(asked.statuses)
        while len(asked.statuses) < seen + 40:
            time.sleep(0.1)
        asked_after = asked.statuses[seen + 20 :]
    assert f"{gone} was taken back, {before} serves: failed requests: " in said
    assert "2.0% may be; new: " in said
    assert set(asked.failed) <= {500, 502}  # the app closes a connection on which it fell
    assert len(asked.failed) < 0.2 * len(asked.statuses)
    assert set(asked_after) == {200}
    assert f"took back {gone}: failed requests" in desk.status()["audit"][-1]["said"]
    holds(desk, before, title, gone)


@pytest.mark.parametrize(
    ("title", "change", "why"),
    [
        ("never ready", (WEB, READY, UNREADY), "was not ready within 12 s"),
        ("exits", ("app/server.py", SERVES, '    raise SystemExit("no index")'), ""),
    ],
)
def test_a_version_that_does_not_get_ready_gets_no_request(
    desk: Stage, title: str, change: tuple[str, str, str], why: str
) -> None:
    before, old = desk.version, desk.served()
    desk.write(ready_s=12)
    gone = desk.commit(title, change)
    with load(desk) as asked:
        said = desk.deploy(code=1)
    assert (asked.failed, asked.versions) == ([], {old})
    assert f"{gone} was taken back, {before} serves: {gone} {why}" in said
    assert "; its last lines:" in said
    assert "  | no index" in said
    holds(desk, before, old, gone)


def test_a_migration_that_fails_changes_nothing(desk: Stage) -> None:
    before, old = desk.picture(), desk.version
    gone = desk.commit("migrates", (MIGRATION, "", BROKEN))
    said = desk.deploy(code=1)
    assert "no such table: nowhere" in said
    assert desk.status()["stable"] == old
    assert [line for line in desk.picture().splitlines() if gone in line] == []
    assert before == desk.picture()


def test_wrong_golden_cases_stop_a_version_before_anybody_asks_it(desk: Stage) -> None:
    before, old = desk.version, desk.served()
    lie = '    return {"answer": REFUSAL, "citations": [], "answered": False}\n'
    gone = desk.commit("lies", ("features/answer/steps.py", FINISHES, lie + FINISHES))
    with load(desk) as asked:
        said = desk.deploy(code=1)
    assert (asked.failed, asked.versions) == ([], {old})
    assert f"{gone} was taken back, {before} serves: 2 of 4 golden cases went wrong:" in said
    assert "  answer slo-p95-meaning: 0.00, accepted 1.00" in said
    holds(desk, before, old, gone)


def test_silence_is_no_pass(desk: Stage) -> None:
    before, old = desk.version, desk.served()
    quiet = {"steps": [50], "max_wait_s": 2}
    new = desk.commit("quiet")
    desk.write({**quiet, "on_quiet": "rollback"})
    said = desk.deploy(code=1)
    assert "wait: 0 of 40 requests" in said
    assert '"pass: ' not in said
    assert f"{new} was taken back, {before} serves: too little traffic to judge it (0 of 40 requests" in said
    holds(desk, before, old, new)

    desk.write({**quiet, "on_quiet": "hold"})
    running = desk.start("deploy", desk.name, "--json")
    stages.until_told(running, "wait: 0 of 40")
    time.sleep(4)
    assert running.poll() is None
    assert desk.status()["share"] == 50
    said = stages.kill(running, signal.SIGINT)
    assert "wait: 0 of 40" in said
    assert running.returncode == 1
    holds(desk, before, old, new)

    desk.write({**quiet, "on_quiet": "promote"})
    assert "no verdict, promoted as on_quiet says: 0 of 40 requests" in desk.deploy()
    assert (desk.status()["stable"], desk.served()) == (new, "quiet")
