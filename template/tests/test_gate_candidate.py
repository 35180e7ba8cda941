"""`gate candidate`: a prompt that serves nobody is judged beside what does; its record begins a rollout."""

from pathlib import Path

import pytest

from app import candidate, services, settings
from app.errors import Invalid
from gate import cli
from tests import kit

pytestmark = pytest.mark.slow

FOLDER = Path("features/note")


def gate(*words: str) -> int:
    """Run `gate` in the current folder."""
    return kit.command(cli.main, *words)


@pytest.fixture(autouse=True)
def accepted(project):
    """The feature `note` with an accepted run and a second prompt."""
    kit.write(FOLDER / "prompts/v2.md", (FOLDER / "prompts/v1.md").read_text() + "\n")
    assert gate("accept", "note", "--reason", "first") == 0


def record():
    """What a rollout of v2 asks for."""
    plan = services.plan(settings.load())
    return candidate.load(plan, plan.features["note"], "v2")


def test_a_candidate_as_good_as_what_serves_gets_its_record(project, capsys):
    with pytest.raises(Invalid, match="the gate has not passed note v2"):
        record()
    assert gate("candidate", "note", "--prompt", "v2", "--reason", "few cases") == 0
    found = record()
    assert (found.score, found.reason) == (found.stable_score, "few cases")
    assert found.replay
    assert "commit it" in capsys.readouterr().out


def test_a_candidate_that_breaks_a_case_gets_none(project):
    kit.write(FOLDER / "prompts/v2.md", "Answer with nothing but the word no.\n---\nno $text\n")
    kit.edit(FOLDER / "feature.toml", "[slo]", "[gate]\nmin_score = 1.0\n\n[slo]")
    assert gate("candidate", "note", "--prompt", "v2", "--reason", "I want it") == 1
    with pytest.raises(Invalid):
        record()


def test_what_is_not_there_and_what_has_no_accepted_run_ends_with_2(project):
    assert gate("candidate", "note", "--prompt", "v9") == 2
    assert gate("candidate", "ask", "--prompt", "v1") == 2


def test_flags_of_the_repository_do_not_decide_what_is_judged(project):
    kit.write("config/flags.json", '{"flags": {"note.prompt": {"state": "ENABLED", "variants": {"v1": "v1"}, '
              '"defaultVariant": "v1"}}}')  # fmt: skip
    assert gate("candidate", "note", "--prompt", "v2", "--reason", "few cases") == 0
    assert record().prompt == services.plan(settings.load()).features["note"].prompts["v2"].digest
