"""A changed dataset carries a reason: the changelog's last line is about the version that is there."""

from pathlib import Path

import pytest

from app import db, features
from gate import cases, changelog, cli
from tests import kit, runs

GOLDEN, LOG = Path("features/note/golden.yaml"), Path("features/note/CHANGELOG.md")
ADD = (
    "case", "add", "note", "--name", "two", "--family", "howto", "--language", "en", "--origin", "a call",
    "--input", "text=Pay by card, please.", "--expect", "facts=card",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _explained(project):
    """The cases of the feature `note` have a changelog."""
    runs.explain()


def faults(folder: Path = GOLDEN.parent) -> list[str]:
    """What the changelog does not explain."""
    feature = features.load(folder)
    sets = [cases.load(feature, "golden"), cases.load(feature, "adversarial")]
    return [str(fault) for found in sets for fault in changelog.unexplained(feature, found)]


def note(why: str) -> int:
    """Run `gate case note note`."""
    return kit.command(cli.main, "case", "note", "note", why)


@pytest.fixture
def changed(project):
    """A project where a person has changed a case."""
    kit.edit(GOLDEN, "[invoice", "[bill | invoice")


def test_a_feature_without_a_changelog_owes_no_reason_until_it_has_one(changed):
    LOG.unlink()
    assert faults() == []
    assert kit.command(cli.main, "accept", "note", "--reason", "first") == 0
    assert [line.split()[2] for line in LOG.read_text().splitlines()] == ["golden", "adversarial", "accepted"]
    kit.edit(GOLDEN, "[bill", "[note | bill")
    assert len(faults()) == 1


@pytest.mark.parametrize(
    "folder", sorted((kit.ROOT / "features").glob("[a-z]*/")), ids=lambda path: path.name
)
def test_every_feature_of_the_project_says_why(folder):
    assert faults(folder) == []


def test_a_change_without_a_reason_is_named_with_the_command_that_mends_it(changed):
    digest = cases.load(features.load(GOLDEN.parent), "golden").digest
    remedy = "uv run gate case note note 'why'"
    assert faults() == [f"features/note/CHANGELOG.md: golden: no last line says why it is {digest}: {remedy}"]


def test_a_reason_mends_it_with_one_line_for_what_changed(changed):
    before = LOG.read_text()
    assert note("bill is\nright too") == 0
    assert faults() == []
    digest = cases.load(features.load(GOLDEN.parent), "golden").digest
    assert LOG.read_text() == f"{before}- {db.now():%Y-%m-%d} golden {digest}: bill is right too\n"


def test_going_back_to_an_older_version_needs_a_reason_too(changed):
    note("bill is right too")
    kit.edit(GOLDEN, "[bill | invoice", "[invoice")
    assert len(faults()) == 1


def test_a_blank_reason_explains_nothing(changed):
    note("  ")
    assert len(faults()) == 1


def test_comments_and_order_need_no_reason(project):
    kit.write(GOLDEN, "# a comment\n" + GOLDEN.read_text())
    assert faults() == []


def test_a_case_that_is_added_says_where_it_comes_from(project):
    assert kit.command(cli.main, *ADD) == 0
    assert LOG.read_text().endswith(": added two: a call\n")
    assert faults() == []


def test_a_case_is_not_added_over_a_change_without_a_reason(changed, capsys):
    before = GOLDEN.read_bytes(), LOG.read_bytes()
    assert kit.command(cli.main, *ADD) == 2
    assert "uv run gate case note note 'why'" in capsys.readouterr().err
    assert (GOLDEN.read_bytes(), LOG.read_bytes()) == before
