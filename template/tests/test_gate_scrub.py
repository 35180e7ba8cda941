"""What is kept out of recordings, and what stands in its place when they are replayed."""

import json
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

from app import leak, pii, prompts
from gate import scrub
from tests import kit
from tests.runs import SHEET, record, replayed

pytestmark = pytest.mark.slow


def test_secrets_and_personal_data_stay_out_and_the_guard_sees_them_still(project):
    secret, email = "sk-" + "a1b2c3d4" * 4, "jane.doe@" + "corp.example"
    record(f'{{"result": "Invoice: {secret}, {email}"}}')
    assert "Invoice: [scrubbed secret]" in SHEET.read_text()
    assert not any(word in SHEET.read_text() for word in (secret, email))
    assert replayed().flags == ["output-pii"]


def test_the_scan_for_secrets_finds_none_in_a_recording(project, monkeypatch):
    record()
    sheet, found = SHEET.absolute(), SecretsCollection()
    monkeypatch.chdir(kit.ROOT)  # where the baseline finds the project's own detector
    with transient_settings(json.loads(Path(".secrets.baseline").read_text())):
        found.scan_file(str(sheet))
    assert dict(found.data) == {}


def test_a_leaked_canary_stays_out_and_is_seen_on_every_machine(project, monkeypatch):
    canary = leak.canary("", prompts.read(Path("features/note/prompts/v1.md")).digest)
    record(f'{{"result": "{" ".join(canary)}"}}')
    assert "[scrubbed canary]" in SHEET.read_text()
    monkeypatch.setenv("APP_PEPPER", kit.PEPPER)
    assert replayed().code == "blocked"


def test_what_the_request_held_stays_in_its_answer():
    assert scrub.out("Write to a@b.example or c@d.example", "a@b.example", "") == (
        "Write to a@b.example or [scrubbed email]"
    )


def test_json_stays_json_where_a_line_begins_with_what_is_scrubbed():
    said = json.dumps({"result": "Write to:\na@b.example"})
    assert json.loads(scrub.out(said, "", "")) == {"result": "Write to:\n[scrubbed email]"}


@pytest.mark.parametrize("label", sorted({kind.label for kind in pii.known().values()}))
def test_each_kind_has_a_stand_in_that_the_guard_finds(label):
    found = pii.kinds(scrub.back(f"so [scrubbed {label}]", ""))
    assert [name.partition("-")[0] for name in found] == [label]


def test_half_a_character_can_be_written():
    assert scrub.out("a\ud800b", "", "") == "a?b"
