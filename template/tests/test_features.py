"""The strict loader: every fault of a feature folder at once, with its path, its key and its remedy."""

from pathlib import Path

import pytest

from app import features, services, settings
from app.errors import ConfigError
from tests import kit

NOTE = Path("features/note")


def faults() -> list[str]:
    """What the loader says about the project's features."""
    with pytest.raises(ConfigError) as raised:
        features.load_all(Path("features"))
    return str(raised.value).splitlines()


def test_loads_the_features_by_name(project):
    assert sorted(features.load_all(Path("features"))) == ["ask", "note"]


def test_no_features_folder_is_refused_an_empty_one_is_no_feature(tmp_path):
    with pytest.raises(ConfigError, match="project's root"):
        features.load_all(tmp_path / "features")
    assert features.load_all(tmp_path) == {}


def test_reports_all_faults_of_a_file_at_once(project):
    kit.edit(NOTE / "feature.toml", "p95_ms = 900", "p95_ms = 0")
    kit.edit(NOTE / "feature.toml", "max_tokens = 300", 'max_tokens = "many"')
    kit.edit(NOTE / "feature.toml", 'use_case = "client-text"\n', "")
    said = faults()
    assert len(said) == 3
    assert all(line.startswith("features/note/feature.toml: ") for line in said)
    assert "features/note/feature.toml: use_case: is required; add it" in said


def test_an_unknown_key_comes_first_with_the_key_that_was_meant(project):
    kit.edit(NOTE / "feature.toml", "max_tokens = 300", "max_token = 300")
    said = faults()
    assert said[0] == (
        "features/note/feature.toml: max_token: unknown key 'max_token'; did you mean 'max_tokens'?"
    )
    assert said[1] == "features/note/feature.toml: max_tokens: is required; add it"


def test_an_unknown_key_that_resembles_none_is_to_be_removed(project):
    kit.edit(NOTE / "feature.toml", "max_tokens = 300", "max_tokens = 300\nzebra = 1")
    assert faults() == ["features/note/feature.toml: zebra: unknown key 'zebra'; remove it"]


def test_reports_the_faults_of_all_features_together(project):
    kit.edit(NOTE / "feature.toml", "p95_ms = 900", "p95_ms = -1")
    kit.edit("features/ask/feature.toml", "error_rate = 0.01", "error_rate = 2")
    said = faults()
    assert [line.split(":")[0] for line in said] == [
        "features/ask/feature.toml",
        "features/note/feature.toml",
    ]


def test_a_prompt_version_without_a_file_names_those_there_are(project):
    kit.edit(NOTE / "feature.toml", 'prompt = "v1"', 'prompt = "v9"')
    assert faults() == ["features/note/feature.toml: prompt: 'v9' has no file in prompts/ (found: v1)"]


def test_every_missing_file_is_named(project):
    for name in ("schema.py", "golden.yaml"):
        (NOTE / name).unlink()
    assert faults() == [
        "features/note/schema.py: is missing; add it",
        "features/note/golden.yaml: is missing; add it",
    ]


def test_a_folder_name_that_is_no_route_is_refused(project):
    NOTE.rename("features/My-Note")
    assert faults() == ["features/My-Note: name it with a-z, 0-9 and _, a letter first, 40 at most"]


def test_a_missing_input_class_is_named(project):
    kit.edit(NOTE / "schema.py", "class Input(", "class Inputs(")
    assert faults() == ["features/note/schema.py: Input: is missing; define it as a pydantic BaseModel"]


def test_a_syntax_error_in_schema_py_names_its_line(project):
    kit.edit(NOTE / "schema.py", "class Output(BaseModel):", "class Output(BaseModel:")
    assert faults()[0].startswith("features/note/schema.py: line 12: SyntaxError")


def test_a_runtime_error_in_schema_py_names_its_line(project):
    kit.edit(NOTE / "schema.py", "    text: str\n", "    text: Text\n")
    assert faults() == ["features/note/schema.py: line 9: NameError: name 'Text' is not defined"]


@pytest.mark.parametrize("name", ["feature.toml", "prompts/v1.md"])
def test_a_file_that_is_not_utf8_names_the_byte(project, name):
    (NOTE / name).write_bytes(b"ab\xff")
    assert f"features/note/{name}: not UTF-8 at byte 2" in faults()


def test_schema_py_that_is_not_utf8_is_a_fault_and_no_crash(project):
    (NOTE / "schema.py").write_bytes(b'"""\xff"""\n')
    assert faults()[0].startswith("features/note/schema.py: ")


def test_broken_toml_is_a_fault_and_no_crash(project):
    kit.edit(NOTE / "feature.toml", "[slo]", "[slo")
    assert faults()[0].startswith("features/note/feature.toml: not TOML: ")


def test_text_output_with_two_fields_and_no_steps_is_refused(project):
    kit.edit(NOTE / "feature.toml", "max_tokens", 'output = "text"\nmax_tokens')
    kit.edit(NOTE / "schema.py", "    result: str", "    result: str\n    more: str")
    assert faults() == [
        "features/note/feature.toml: output: "
        "'text' needs an Output of exactly one field, or a finish() in steps.py"
    ]


def test_examples_that_are_no_input_are_named_with_their_place(project):
    kit.edit(
        NOTE / "feature.toml", "[slo]", '[examples]\nen = [{text = "fine"}, {text = 3}]\nde = [{}]\n\n[slo]'
    )
    assert [line.removeprefix("features/note/feature.toml: examples.") for line in faults()] == [
        "en.1.text: Input should be a valid string (found: 3)",
        "de.0.text: is required; add it",
    ]


def test_retrieval_by_a_field_that_input_lacks_is_refused(project):
    kit.edit("features/ask/feature.toml", 'query = "question"', 'query = "text"')
    assert faults() == [
        "features/ask/feature.toml: retrieval.query: 'text' is not a field of Input (known: question)"
    ]


def test_the_plan_reports_features_and_config_together(project):
    kit.edit(NOTE / "feature.toml", "p95_ms = 900", "p95_ms = 0")
    kit.write("config/models.toml", '[models.far]\nprovider = "telepathy"\n')
    with pytest.raises(ConfigError) as raised:
        services.plan(settings.load())
    assert {fault.path.name for fault in raised.value.faults} == {"feature.toml", "models.toml"}


def test_names_a_tier_a_use_case_and_a_corpus_that_no_file_has(project):
    kit.edit("features/ask/feature.toml", "max_tokens", 'tiers = ["large"]\nmax_tokens')
    kit.edit("features/ask/feature.toml", "client-text", "client-txt")
    kit.edit("features/ask/feature.toml", 'corpus = "pages"', 'corpus = "nowhere"')
    with pytest.raises(ConfigError) as raised:
        services.plan(settings.load())
    assert [fault.where for fault in raised.value.faults] == ["tiers", "use_case", "retrieval.corpus"]


def test_another_schema_gives_another_digest(project):
    before = features.load(NOTE).digest
    kit.edit(NOTE / "schema.py", "    text: str", "    text: str = ''")
    assert features.load(NOTE).digest != before


async def test_prepare_changes_the_input_before_it_is_used(project):
    kit.write(
        "features/note/steps.py",
        '"""Own steps."""\n\n\ndef prepare(given):\n    """Shout."""\n'
        '    return given.model_copy(update={"text": given.text.upper()})\n',
    )
    heard = []
    with kit.serve(kit.provider(said='{"result": "x"}', heard=heard)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            await site.post("note", kit.TEXT)
    assert kit.TEXT["text"].upper() in heard[0]["messages"][-1]["content"]
