"""`gate case add`: one valid case more at the end of its file, or nothing at all."""

import io
from pathlib import Path

import pytest
import yaml

from app import features
from gate import cases, cli
from tests import kit, runs

GOLDEN, LOG = Path("features/note/golden.yaml"), Path("features/note/CHANGELOG.md")
META = ("--family", "howto", "--language", "en", "--origin", "a call")
WORDS = ("--name", "two", *META, "--input", "text=Pay by card, please.", "--expect", "facts=card")


@pytest.fixture(autouse=True)
def _explained(project):
    """The cases of the feature `note` have a changelog."""
    runs.explain()


def add(*words: str) -> int:
    """Run `gate case add note`."""
    return kit.command(cli.main, "case", "add", "note", *words)


def load(kind: cases.Kind = "golden") -> cases.CaseSet:
    """The cases of the feature `note`."""
    return cases.load(features.load(GOLDEN.parent), kind)


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let a person type these lines."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_case_comes_last_and_the_file_before_it_stays_as_it_is(project):
    kit.write(GOLDEN, GOLDEN.read_text() + "  # to be continued\n")
    before = GOLDEN.read_text()
    assert add(*WORDS) == 0
    assert GOLDEN.read_text().startswith(before)
    assert [case.name for case in load().cases] == ["first-case", "two"]
    assert load().cases[-1].inputs == {"text": "Pay by card, please."}
    assert load().cases[-1].metadata.origin == "a call"


def test_it_goes_to_the_other_file_by_kind(project):
    assert add(*WORDS, "--kind", "adversarial") == 0
    assert [case.name for case in load("adversarial").cases] == ["override", "two"]
    assert len(load().cases) == 1


def test_a_list_is_parted_and_a_truth_value_read(project):
    more = "facts=please | pay", "absent=cash; cheque", "refused=false"
    assert add(*WORDS, *(word for said in more for word in ("--expect", said))) == 0
    expected = load().cases[-1].expected_output
    assert expected.facts == ["card", "please | pay"]
    assert (expected.absent, expected.refused) == (["cash", "cheque"], False)


def test_a_text_of_several_lines_is_a_block(project):
    assert add(*WORDS, "--input", "text=Dear all,\n\n  we pay: on Friday.\n") == 0
    assert "      text: |\n        Dear all,\n\n          we pay: on Friday.\n" in GOLDEN.read_text()
    assert load().cases[-1].inputs["text"] == "Dear all,\n\n  we pay: on Friday.\n"


@pytest.mark.parametrize(
    "text", ["yes", "[a]: #b", "'\"", "- x", " \tx", "née ☕ 🙂", "a\\n", "7", "\x07\x85"]
)
def test_any_text_comes_back_as_it_was(project, text):
    assert add(*WORDS, "--input", f"text={text}") == 0
    assert load().cases[-1].inputs == {"text": text}


def test_the_files_own_indent_is_kept(project):
    kit.write(GOLDEN, yaml.safe_dump(yaml.safe_load(GOLDEN.read_text())))
    assert add(*WORDS) == 0
    assert "\n- name: two\n  inputs: {text: " in GOLDEN.read_text()


def test_a_file_without_a_last_line_end_gets_one(project):
    kit.write(GOLDEN, GOLDEN.read_text().rstrip())
    assert add(*WORDS) == 0
    assert len(load().cases) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "first-case"), "line 7: case 'first-case' stands at line 3 already; rename one"),
        (("--name", "Two"), "golden.yaml: line 7: case 'Two': name: "),
        (("--family", ""), "case 'two': metadata.family: "),
        (("--input", "txt=x"), "Input: txt: unknown key 'txt'; did you mean 'text'?"),
        (("--input", "text"), "Input: text: is required; add it"),
        (("--expect", "fact=x"), "Expected: fact: unknown key 'fact'; did you mean 'facts'?"),
        (("--expect", "facts=a | "), "has an empty wording, which every answer holds"),
        (("--expect", "facts="), "expects nothing"),
        (("--expect", "refused=maybe"), "Expected: refused: "),
    ],
)
def test_a_case_that_is_not_right_is_refused_and_nothing_is_written(project, capsys, words, said):
    before = GOLDEN.read_bytes(), LOG.read_bytes()
    others = WORDS[:-2] if words[0] == "--expect" else WORDS
    others = others[:-4] if words[0] == "--input" else others
    assert add(*others, *words, *(WORDS[-2:] if words[0] == "--input" else ())) == 2
    assert said in capsys.readouterr().err
    assert (GOLDEN.read_bytes(), LOG.read_bytes()) == before


def test_cases_in_brackets_are_left_alone(project, capsys):
    kit.write(GOLDEN, str(yaml.safe_load(GOLDEN.read_text())))
    before = GOLDEN.read_bytes()
    assert add(*WORDS) == 2
    assert "features/note/golden.yaml: line 2: not YAML: " in capsys.readouterr().err
    assert GOLDEN.read_bytes() == before


def test_a_table_is_said_as_json(project):
    assert add(*WORDS, "--expect", 'equals={"result": "paid"}') == 0
    assert load().cases[-1].expected_output.equals == {"result": "paid"}
    assert add(*WORDS, "--name", "three", "--expect", "equals=paid") == 2


def test_what_no_option_says_is_asked(project, monkeypatch):
    answer(monkeypatch, "two", "howto", "en", "a call", "Pay by card.", "card", *[""] * 20)
    assert add() == 0
    case = load().cases[-1]
    assert (case.name, case.inputs) == ("two", {"text": "Pay by card."})
    assert case.expected_output.facts == ["card"]


def test_a_question_that_nobody_answers_ends_it(project, monkeypatch):
    before = GOLDEN.read_bytes()
    answer(monkeypatch, "two")
    assert add() != 0
    assert GOLDEN.read_bytes() == before


def test_an_unknown_feature_is_refused_with_the_known_ones(project, capsys):
    assert kit.command(cli.main, "case", "add", "nota", *WORDS) == 2
    assert "no feature 'nota' (known: ask, note)" in capsys.readouterr().err
