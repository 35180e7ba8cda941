"""Commands of rollouts, experiments and incidents: any text, the other kind, times, and the page."""

import asyncio
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app import cli, db, experiments
from app.ledger import Incident
from tests import kit
from tests.test_controller import begin, passed, prompts  # noqa: F401  # a fixture of every test here
from tests.test_incidents import later, rolled_back

ODD = "[/x] <script>alert(1)</script> [rollout]"


def made(work):
    """Do something on the running app."""

    async def run():
        async with kit.site() as site:
            return await work(site)

    return asyncio.run(run())


@pytest.fixture
def said(project, capsys):
    """Give a command of the app; gives its exit code, and what it printed."""

    def run(*words):
        code = kit.command(cli.main, *words)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    kit.command(cli.main, "setup")
    capsys.readouterr()
    return run


async def experiment(site):
    """Begin an experiment."""
    passed(site)
    return await experiments.begin(site.held.engine, site.held.plan, "note", ["v2"], "anna")


def test_a_reason_is_printed_as_it_was_given(said):
    made(begin)
    assert said("rollout", "promote", "note", "--reason", ODD)[0] == 0
    code, printed = said("rollout", "status", "note")
    assert (code, ODD in printed, "[/x]" in printed) == (0, True, True)


def test_the_starter_reads_which_table_to_set(said):
    kit.edit("features/note/feature.toml", 'unit = "request"', 'unit = "user"')
    made(lambda site: asyncio.sleep(0, passed(site)))
    assert '[rollout] unit = "request"' in said("rollout", "start", "note", "--prompt", "v2")[1]


@pytest.mark.parametrize("words", [("promote", "--reason", "x"), ("stop",), ("status",)])
def test_a_command_for_rollouts_leaves_an_experiment_alone(said, words):
    trial = made(experiment)
    code, printed = said("rollout", words[0], "note", *words[1:])
    assert (code, f"{trial.id} is no rollout" in printed) == (2, True)
    assert f"uv run ops experiment status {trial.id}" in " ".join(printed.split())
    assert said("experiment", "status", "note")[0] == 0


@pytest.mark.parametrize("word", ["status", "stop"])
def test_a_command_for_experiments_leaves_a_rollout_alone(said, word):
    trial = made(begin)
    code, printed = said("experiment", word, "note")
    assert (code, f"{trial.id} is no experiment" in printed) == (2, True)


def test_where_only_an_experiment_is_open_the_status_of_rollouts_says_so(said):
    trial = made(experiment)
    printed = said("rollout", "status")[1]
    assert "no rollout is open" in printed
    assert f"{trial.id} is an experiment" in printed


async def incident(site, said=ODD):
    """An incident that was seen after half a minute, and over after two and a half."""
    at = db.now().replace(microsecond=0)
    one = Incident(
        id="abc", feature="note", cause="x", said=said, began_at=at, detected_at=later(at, 30),
        restored_at=later(at, 150), cases=[{"id": "r1", "fault": "took 812 ms"}],
    )  # fmt: skip
    async with AsyncSession(site.held.engine, expire_on_commit=False) as session, session.begin():
        session.add(one)
    return one


def test_an_incident_shows_its_times(said):
    made(incident)
    printed = said("incident", "show", "abc")[1]
    assert ODD in printed
    for word in ("began", "detected", "restored", "+00:00", "after 30.0 s", "after 2 min", "took 812 ms"):
        assert word in printed
    assert "mean time to detect 30.0 s, to restore 2 min" in said("incident", "list")[1]


class Page(HTMLParser):
    """What is asked of a page: its tags, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


async def history(site):
    """A rollout that went back for an odd reason, and another incident after it."""
    trial = await begin(site)
    await rolled_back(site, trial, ODD)
    await incident(site)
    return trial


def test_the_timeline_is_one_page_of_all_that_happened(said):
    trial = made(history)
    assert said("incident", "timeline", "--out", "var/timeline.html")[0] == 0
    page = Page(Path("var/timeline.html").read_text(encoding="utf-8"))
    names = [tag for tag, _ in page.tags]
    assert (names.count("li"), names.count("script"), names.count("ol")) == (4, 0, 1)
    assert not [value for _, given in page.tags for value in (given.get("src"), given.get("href"))
                if value and not value.startswith("#")]  # fmt: skip
    assert page.text.count(ODD) == 3
    assert page.text.index("began with v2") > page.text.index("rolled-back")
    assert trial.id in page.text


def test_the_timeline_is_printed_for_another_machine(said):
    printed = said("incident", "timeline", "--out", "-")[1]
    assert printed.startswith("<!doctype html>")
    assert "Nothing has happened yet." in printed
