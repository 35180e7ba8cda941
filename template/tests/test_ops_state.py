"""The state, the audit and the proxy's file, written by the very scripts that run on a server."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.errors import NotFound

from ops import lock, proxy, slots
from ops import state as states
from ops.errors import Failed, Lost, NotReady
from ops.host import Host
from ops.lock import Shell
from ops.proxy import Seen
from ops.stages import Stage
from ops.state import State

HOST = Host("local", None, "", "desk-staging")


@dataclass
class Here:
    """Runs what a container of the tools would run, on this machine."""

    gone: bool = False
    name: str = "desk-staging-lock"


def executed(held: Here, command: list[str]) -> tuple[int, bytes]:
    """As in a container."""
    if held.gone:
        raise NotFound("no such container")
    done = subprocess.run(command, capture_output=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def shell(tmp_path, monkeypatch):
    if os.name != "posix":
        pytest.skip("the scripts are a server's")
    monkeypatch.setattr(lock, "STATE", str(tmp_path))
    monkeypatch.setattr(lock, "executed", executed)
    return Shell(Here())


def test_a_stage_without_a_state_has_nothing_that_serves(shell):
    assert states.read(shell).stable == ""


def test_the_state_comes_back_as_it_was_written(shell, tmp_path):
    state = State(stable="a1", slots={"blue": "a1", "green": ""}, past=["a0"], secrets={"a1": "s"})
    states.save(shell, state)
    assert states.read(shell) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "state.json.new").exists()


def test_a_state_of_a_later_version_is_read(shell):
    shell.write("state.json", '{"stable": "a1", "new_key": 1}')
    assert states.read(shell).stable == "a1"


def test_a_damaged_state_is_refused_and_not_replaced(shell):
    shell.write("state.json", '{"stable": 1')
    with pytest.raises(NotReady, match=r"state\.json on the server is damaged"):
        states.read(shell)


def test_without_the_lock_nothing_is_written(shell, tmp_path):
    shell.container.gone = True
    with pytest.raises(Lost, match="somebody broke the lock"):
        states.save(shell, State())
    assert not list(tmp_path.iterdir())


def test_a_word_of_the_audit_is_a_word_and_no_program(shell, tmp_path):
    states.note(shell, 'it\'s $(touch evil) `touch evil`; "quoted"\nand of two lines \\n')
    assert states.broken(shell.read(states.AUDIT)) == 0
    assert not Path("evil").exists()
    assert not (tmp_path / "evil").exists()


def test_a_line_that_is_changed_or_lost_breaks_the_audit(shell):
    for said in ("deploy a", "a is stable", "deploy b"):
        states.note(shell, said)
    lines = shell.read(states.AUDIT).splitlines()
    assert states.broken("\n".join(lines)) == 0
    assert states.broken("\n".join([lines[0], lines[1].replace("stable", "bad"), lines[2]])) == 3
    assert states.broken("\n".join([lines[0], lines[2]])) == 2
    assert states.broken("\n".join([lines[1], lines[2]])) == 1
    assert states.broken("no json") == 1


@pytest.mark.parametrize(("share", "weight"), [(0, 0), (1, 1), (5, 5), (25, 33), (50, 100), (90, 900)])
def test_a_weight_beside_100_gives_the_share(share, weight):
    assert proxy.weight(share) == weight


def test_the_proxy_keeps_the_shares_over_a_restart():
    state = State(stable="a", coming="b", phase="canary", share=25, slots={"blue": "a", "green": "b"})
    text = proxy.config(HOST, Stage(), state.slot_key, proxy.weights(state))
    assert "server blue desk-staging-blue:8000 weight 100\n" in text
    assert "server green desk-staging-green:8000 weight 33\n" in text
    assert "hard-stop-after 60s" in text


def test_a_slot_without_a_version_is_closed():
    text = proxy.config(
        HOST, Stage(), "key", proxy.weights(State(stable="a", slots={"blue": "a", "green": ""}))
    )
    assert "server green desk-staging-green:8000 weight 0 disabled\n" in text


def test_the_slot_is_chosen_with_the_key_alone():
    text = proxy.config(HOST, Stage(), "4bd1", {})
    assert "set-var(txn.slot) req.hdr(x-slot) if { req.hdr(x-slot-key) -m str 4bd1 }" in text
    assert text.index("del-header x-slot-key") > text.index("set-var(txn.slot)")


def test_the_edge_asks_each_host():
    stage = Stage(hosts=["local", "ssh://d@10.0.0.2"], domain="app.example.com")
    text = proxy.edge(HOST, stage)
    assert "reverse_proxy desk-staging-lb:8080 10.0.0.2:8080 {" in text
    assert "\napp.example.com {" in text


METRICS = """
app_request_seconds_bucket{feature="a",le="0.5"} 8.0
app_request_seconds_bucket{feature="b",le="0.5"} 1.0
app_request_seconds_bucket{feature="a",le="+Inf"} 9.0
app_request_seconds_bucket{feature="b",le="+Inf"} 1.0
app_requests_total{cached="false",feature="a",outcome="ok"} 4.0
app_requests_total{cached="false",feature="b",outcome="ok"} 1.0
app_requests_total{cached="true",feature="a",outcome="ok"} 5.0
app_requests_total{cached="false",feature="a",outcome="blocked"} 3.0
app_cost_usd_total{feature="a",model="m"} 0.25
app_cost_usd_total{feature="b",model="m"} 0.5
app_model_failures_total{feature="a"} 2.0
app_guard_flags_total{feature="a",flag="leak"} 1.0
app_guard_flags_total{feature="a",flag="pii"} 7.0
"""


def test_each_feature_has_its_counters_and_what_a_caller_sent_is_not_unsafe():
    found = slots.counted(METRICS, Seen("UP", "10.0.0.2", 0, 12, 3))
    a, b = found.features["a"], found.features["b"]
    assert (found.requests, found.failed, a.count, b.count) == (12, 3, 9, 1)
    assert a.edges[0.5] == 8
    assert (a.usd, a.invalid, a.flagged, a.paid) == (0.25, 2, 1, 4)
    assert (b.usd, b.paid) == (0.5, 1)


def test_a_page_without_metrics_is_no_sample():
    with pytest.raises(Failed, match="no app_request_seconds"):
        slots.counted("", Seen("UP", "10.0.0.2", 0, 12, 3))


def test_a_torn_line_of_the_audit_is_shown_as_it_is():
    assert states.read_note('{"at": "now", "who": "anna", "said": "deploy') == {
        "at": "?", "who": "?", "said": '{"at": "now", "who": "anna", "said": "deploy',
    }  # fmt: skip
    assert states.read_note('{"at": "now", "who": "anna", "said": "x", "after": ""}')["who"] == "anna"


def test_a_proxy_that_answers_late_or_half_is_asked_again(monkeypatch):
    head = "# pxname,svname,scur,stot,status,addr,hrsp_5xx,econ,eresp\n"
    rows = [f"app,{slot},1,2,UP,10.0.0.2:8000,0,0,0\n" for slot in states.SLOTS]
    answers = iter(["", head + rows[0], head + rows[0] + "app,green,1", head + "".join(rows)])
    monkeypatch.setattr(proxy, "ask", lambda *_: next(answers))
    assert proxy.seen(None)["green"] == Seen("UP", "10.0.0.2", 1, 2, 0)
    monkeypatch.setattr(proxy, "ask", lambda *_: head)
    monkeypatch.setattr(proxy, "ANSWERS_S", 0)
    with pytest.raises(Failed, match="does not say how its slots are"):
        proxy.seen(None)


def test_who_lost_the_lock_is_told_before_anything_is_changed(monkeypatch):
    monkeypatch.setattr(lock, "executed", executed)
    with pytest.raises(Lost, match="somebody broke the lock"):
        Shell(Here(gone=True)).require()
    Shell(Here()).require()
