"""The gate measures how passages are found, chooses the cheapest way, and the app serves the choice."""

import json
from pathlib import Path

from gate import cli
from tests import kit
from tests.embedder import own_page

TOML = Path("features/ask/feature.toml")


def gate(*words: str) -> int:
    """Run `gate retrieval` in the current folder."""
    return kit.command(cli.main, "retrieval", "ask", *words)


def told() -> dict:
    """What it wrote about the feature `ask`."""
    (one,) = json.loads(Path("var/reports/retrieval.json").read_text(encoding="utf-8"))["features"]
    return one


def test_words_alone_leave_nothing_to_choose(project, capsys):
    assert gate() == 0
    assert "words alone, nothing to choose" in capsys.readouterr().out


def test_every_way_is_measured_on_the_corpus_and_on_each_tenants_pages(embedder, capsys):
    own_page("acme", "terms", "# Terms\n\nAcme pays after thirty days.\n")
    assert gate() == 0
    print(capsys.readouterr().out)
    seen = told()["found"]["seen"]
    assert {row["where"] for row in seen} == {"", "acme"}


def test_a_choice_is_written_and_comments_stay(embedder, capsys):
    kit.edit(TOML, 'query = "question"', 'query = "question"  # what they ask')
    assert gate("--write") == 0
    print(TOML.read_text())
    assert 0
