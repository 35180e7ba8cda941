"""Case files: every fault with its line, all at once."""

import re
from pathlib import Path

import pytest

from app import features
from gate import cases
from gate.errors import BadCases
from tests import kit

GOLDEN = Path("features/note/golden.yaml")
CASE = """\
  - name: {name}
    inputs: {{text: {text}}}
    metadata: {{family: first, language: en, origin: written by hand}}
    expected_output: {{facts: [invoice]}}
"""


def load(kind: cases.Kind = "golden") -> cases.CaseSet:
    """The cases of the feature `note`."""
    return cases.load(features.load(GOLDEN.parent), kind)


def faults(text: str) -> list[str]:
    """What the loader says about this file."""
    kit.write(GOLDEN, text)
    with pytest.raises(BadCases) as raised:
        load()
    return str(raised.value).splitlines()


def file_of(*names: str, text: str = "An invoice.") -> str:
    """A case file with these names."""
    return "cases:\n" + "".join(CASE.format(name=name, text=text) for name in names)


def test_the_scaffolds_cases_load(project):
    assert [case.name for case in load().cases] == ["first-case"]
    assert [case.name for case in load("adversarial").cases] == ["override"]


def test_a_name_that_stands_twice_is_refused_with_both_lines(project):
    assert faults(file_of("one", "two", "one")) == [
        "features/note/golden.yaml: line 10: case 'one' stands at line 2 already; rename one"
    ]


def test_half_of_a_pair_is_refused(project):
    one = file_of("one", "two").replace("origin: written by hand", "origin: written by hand, pair: trait", 1)
    assert faults(one) == [
        "features/note/golden.yaml: line 2: case 'one': metadata.pair: "
        "no other case is of the pair 'trait'; name its twin the same"
    ]


def test_two_cases_of_one_name_in_one_line_are_refused(project):
    one = CASE.format(name="one", text="A.").strip().removeprefix("- ")
    line = "{" + ", ".join(part.strip() for part in one.splitlines()) + "}"
    assert faults(f"cases: [{line}, {line}]") == [
        "features/note/golden.yaml: line 1: case 'one' stands at line 1 already; rename one"
    ]


def test_an_input_that_does_not_fit_schema_py_is_refused_with_its_line(project):
    said = faults(file_of("one").replace("text: An", "txt: An"))
    assert said[0] == (
        "features/note/golden.yaml: line 2: case 'one': inputs.txt: "
        "unknown key 'txt'; did you mean 'text'? (schema.py: Input)"
    )
    assert said[1].endswith("inputs.text: is required; add it (schema.py: Input)")


def test_an_expected_field_that_the_answer_has_not_is_refused_with_its_line(project):
    said = faults(file_of("one").replace("facts: [invoice]", "equals: {reslt: paid, result: paid}"))
    assert said == [
        "features/note/golden.yaml: line 2: case 'one': expected_output.equals.reslt: "
        "unknown key 'reslt'; did you mean 'result'? (schema.py: Output)"
    ]


def test_an_expected_language_that_no_check_knows_is_refused_with_its_line(project):
    said = faults(file_of("one").replace("facts: [invoice]", "language: fr"))
    assert said[0].startswith("features/note/golden.yaml: line 2: case 'one': expected_output: ")
    assert said[0].endswith("language 'fr' is not known (known: en, de, es)")


def test_a_case_that_expects_a_refusal_of_its_input_need_not_fit(project):
    text = file_of("one").replace("text: An", "txt: An").replace("{facts: [invoice]}", "{error: invalid}")
    kit.write(GOLDEN, text)
    assert load().cases[0].expected_output.error == "invalid"


def test_an_unknown_key_names_its_line_and_the_key_that_was_meant(project):
    said = faults(file_of("one", "two").replace("facts", "fact"))
    assert said[0] == (
        "features/note/golden.yaml: line 2: case 'one': expected_output.fact: "
        "unknown key 'fact'; did you mean 'facts'?"
    )
    assert "line 6: case 'two'" in said[1]


def test_faults_of_different_kinds_come_together(project):
    said = faults(file_of("one", "one", text="7"))
    assert len(said) == 3


def test_missing_metadata_is_refused(project):
    said = faults(file_of("one").replace(", origin: written by hand", ""))
    assert said == ["features/note/golden.yaml: line 2: case 'one': metadata.origin: is required; add it"]


@pytest.mark.parametrize("text", ["", "[]", "just words", "cases: 7", "cases: {}", "- a\n- b\n"])
def test_a_file_without_a_list_of_cases_is_refused(project, text):
    assert faults(text) == ["features/note/golden.yaml: needs a list under the key 'cases'"]


def test_an_empty_list_of_cases_is_refused(project):
    assert faults("cases: []\n")[0].startswith("features/note/golden.yaml: cases: ")


def test_broken_yaml_is_refused_with_its_line(project):
    assert faults("cases:\n  - name: [\n")[0].startswith("features/note/golden.yaml: line 3: not YAML: ")


@pytest.mark.parametrize("text", ["cases:\n  - 7\n", "cases:\n  - [a]\n", "? [a]\n: b\ncases: []\n"])
def test_a_case_that_is_no_mapping_is_refused(project, text):
    assert faults(text)[0].startswith("features/note/golden.yaml: ")


def test_a_date_that_no_calendar_has_is_refused(project):
    assert "not YAML" in faults(file_of("one", text="2024-02-30"))[0]


def test_a_file_that_is_not_utf8_is_refused(project):
    kit.write(GOLDEN, "").write_bytes(b"cases: \xff\n")
    with pytest.raises(BadCases, match="not UTF-8 at byte 7"):
        load()


@pytest.mark.parametrize("name", ["Upper", "a b", "a_b", "-a", "a--b"])
def test_a_name_that_is_no_slug_is_refused(project, name):
    assert "name: " in faults(file_of(f'"{name}"'))[0]


def test_a_number_that_is_none_is_refused(project):
    kit.edit("features/note/schema.py", "text: str", "text: str\n    share: float = 0")
    said = faults(file_of("one").replace("An invoice.", "An invoice., share: .nan"))
    where = "features/note/golden.yaml: line 2: case 'one': inputs.share"
    assert [line.startswith(where) and "finite number" in line for line in said] == [True]


@pytest.mark.parametrize(
    "text", ["\t- name: one\n", "  - name: one\n\tinputs: {}\n", "  -\tname: one\n\t  a: b\n"]
)
def test_a_tab_is_refused_with_its_line(project, text):
    said = faults(f"cases:\n{text}")
    assert re.match(r"features/note/golden.yaml: line [23]: not YAML: ", said[0])


def test_the_line_is_right_behind_comments_blocks_and_other_languages(project):
    long = file_of("one").replace("{text: An invoice.}", "\n      text: |\n        Größe\n\n        ☕\n")
    said = faults(f"# a\n\n{long}" + CASE.format(name="two", text="An invoice.").replace("facts", "fact"))
    assert said[0].startswith("features/note/golden.yaml: line 13: case 'two': expected_output.fact: ")


@pytest.mark.parametrize("text", ["[" * 100_000, "cases: " + "{a: " * 100_000, "- " * 100_000])
def test_a_file_that_is_nested_too_deep_is_refused(project, text):
    assert faults(text)[0].startswith("features/note/golden.yaml: ")


def test_a_file_that_is_too_large_is_refused(project):
    said = faults(file_of("one", text="a" * cases.LARGEST))
    assert re.fullmatch(r"features/note/golden.yaml: [\d,]+ characters, 20,000,000 at most: .+", said[0])


def test_the_digest_is_of_the_content_in_any_order(project):
    kit.write(GOLDEN, file_of("one", "two"))
    first = load().digest
    kit.write(GOLDEN, file_of("two", "one"))
    assert load().digest == first
    kit.write(GOLDEN, file_of("one", "three"))
    assert load().digest == first  # a name is no content
    kit.edit("features/note/golden.yaml", "origin: ", "origin: once more ")
    assert load().digest == first
    kit.write(GOLDEN, file_of("one", text="A bill."))
    assert load().digest != first


def test_the_schema_for_editors_is_the_one_that_the_loader_uses():
    assert cases.SCHEMA.read_text(encoding="utf-8") == cases.schema()
