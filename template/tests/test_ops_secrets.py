"""Secrets of a stage: who can read them, what a file may hold, and where a value never stands."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from app import settings
from ops import cli, sealed, secrets
from ops.errors import NotReady
from tests import kit

VALUE = "a value with spaces, = and 'quotes'"


@pytest.fixture(autouse=True)
def key(project, tmp_path, monkeypatch):
    """A person without a key, in a project without secrets."""
    place = tmp_path / "key.txt"
    monkeypatch.setenv("AGE_KEY_FILE", str(place))
    monkeypatch.delenv("AGE_KEY", raising=False)
    return place


def ops(*words: str) -> int:
    """Run `ops secrets` in the current folder."""
    return kit.command(cli.main, "secrets", *words)


def given(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """What stands on standard input."""
    kit.write("given.txt", value)
    monkeypatch.setattr(sys, "stdin", open("given.txt", encoding="utf-8"))  # noqa: PTH123, SIM115


def test_a_value_is_set_and_listed_and_stands_in_no_file_as_it_is(monkeypatch, capsys):
    assert ops("init", "--who", "anna") == 0
    given(monkeypatch, f"{VALUE}\n")
    assert ops("set", "staging", "APP_PEPPER") == 0
    Path("given.txt").unlink()
    assert secrets.values("staging") == {"APP_PEPPER": VALUE}
    assert ops("list", "staging") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "APP_PEPPER"
    assert not [p for p in Path().rglob("*") if p.is_file() and VALUE.encode() in p.read_bytes()]


def test_the_private_key_is_its_owners_alone_and_is_never_replaced(key):
    secrets.init("anna")
    first = key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    secrets.init("anna")
    assert key.read_text() == first
    assert list(sealed.recipients().values()) == ["anna"]


@pytest.mark.skipif(not shutil.which("age"), reason="age is not installed (Debian: apt-get install age)")
def test_the_age_command_reads_and_writes_the_same_files(key):
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    command = ["age", "--decrypt", "--identity", str(key), str(secrets.path("staging"))]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    command = ["age", "-a", "-R", str(sealed.RECIPIENTS), "-o", str(secrets.path("other"))]
    subprocess.run(command, input=text, check=True, text=True)
    assert secrets.values("other") == {"APP_PEPPER": VALUE}


def test_several_people_read_the_same_and_one_who_left_does_not(key, monkeypatch, capsys):
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    other = pyrage.x25519.Identity.generate()
    secrets.add_recipient(str(other.to_public()), "ben")
    monkeypatch.setenv("AGE_KEY", str(other))
    assert secrets.values("staging") == {"APP_PEPPER": VALUE}
    monkeypatch.delenv("AGE_KEY")
    assert ops("recipients", "--remove", "ben") == 0
    assert "  staging: APP_PEPPER" in capsys.readouterr().out
    monkeypatch.setenv("AGE_KEY", str(other))
    with pytest.raises(NotReady, match=r"secrets/staging\.env\.age: cannot be read with your key"):
        secrets.values("staging")


def test_a_second_person_is_told_what_lets_their_key_in(tmp_path, monkeypatch, capsys):
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    mine = str(sealed.key_file())
    monkeypatch.setenv("AGE_KEY_FILE", str(tmp_path / "ben.txt"))
    assert ops("init", "--who", "ben") == 2
    words = capsys.readouterr().err.partition("uv run ops secrets ")[2].split()
    monkeypatch.setenv("AGE_KEY_FILE", mine)
    assert ops(*words) == 0
    monkeypatch.setenv("AGE_KEY_FILE", str(tmp_path / "ben.txt"))
    assert secrets.values("staging") == {"APP_PEPPER": VALUE}


def test_the_last_recipient_cannot_go():
    secrets.init("anna")
    with pytest.raises(NotReady, match="nobody would be left"):
        secrets.remove_recipient("anna")


def test_a_rotation_encrypts_anew_and_names_what_to_change_at_its_source(capsys):
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    before = secrets.path("staging").read_bytes()
    assert ops("rotate") == 0
    assert secrets.path("staging").read_bytes() != before
    assert "  staging: APP_PEPPER" in capsys.readouterr().out


def test_comments_and_order_stay_where_a_value_is_set():
    secrets.init("anna")
    sealed.write(secrets.path("staging"), "# of the bank\nAPP_DESCRIPTION=1\nAPP_TITLE=2\n")
    secrets.put("staging", "APP_DESCRIPTION", "3")
    assert sealed.read(secrets.path("staging")).splitlines()[0] == "# of the bank"
    assert list(secrets.values("staging").items()) == [("APP_DESCRIPTION", "3"), ("APP_TITLE", "2")]


@pytest.mark.parametrize("line", ["APP_X", "no line of a file", "app_x=1", "PATH=/evil", "APP_X='open"])
def test_what_no_setting_can_be_is_refused_with_its_line_and_nothing_changes(monkeypatch, line):
    secrets.init("anna")
    secrets.put("staging", "APP_TITLE", "1")
    before = secrets.path("staging").read_bytes()
    editor = f"import sys; open(sys.argv[1], 'a').write({line!r})"
    kit.write("editor.py", editor)
    monkeypatch.setenv("EDITOR", f"{sys.executable} editor.py")
    monkeypatch.delenv("VISUAL", raising=False)
    with pytest.raises(NotReady, match="staging: line 2 is no APP_<SETTING>=value"):
        secrets.edit("staging")
    assert secrets.path("staging").read_bytes() == before


def test_an_editor_that_fails_changes_nothing(monkeypatch):
    secrets.init("anna")
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(NotReady, match="false failed; nothing was changed"):
        secrets.edit("staging")
    assert secrets.kept() == []


def test_a_command_gets_the_values_by_its_environment_alone_and_no_private_key(key, monkeypatch, capfd):
    secrets.init("anna")
    secrets.put("staging", "APP_TITLE", "seven")
    monkeypatch.setenv("AGE_KEY", key.read_text())
    program = "import os, sys; value = os.environ['APP_TITLE']; print(value, 'AGE_KEY' in os.environ, "
    program += "value in str(sys.orig_argv)); sys.exit(7)"
    assert ops("run", "staging", "--", sys.executable, "-c", program) == 7
    assert capfd.readouterr().out == "seven False False\n"
    assert "APP_TITLE" not in os.environ


def test_an_export_is_files_that_the_owner_alone_reads_and_can_be_made_again(tmp_path):
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    for _ in range(2):
        assert ops("export", "staging", str(tmp_path / "out")) == 0
    (found,) = (tmp_path / "out").iterdir()
    assert (found.name, found.read_text(), stat.S_IMODE(found.stat().st_mode)) == ("app_pepper", VALUE, 0o400)


@pytest.mark.parametrize("value", ["", "changeme", "TODO", "<your key>", "sk-..."])
def test_a_value_that_the_app_refuses_is_named_is_not_set_and_enters_no_bundle(value, monkeypatch, capsys):
    secrets.init("anna")
    sealed.write(secrets.path("staging"), f"APP_METRICS_KEY={value}\nAPP_TITLE=real\nAPP_PEPER=x1\n")
    assert ops("list", "staging") == 0
    first, second, third = capsys.readouterr().out.splitlines()[-3:]
    assert first.startswith("APP_METRICS_KEY: is a placeholder;")
    assert first.endswith("; uv run ops secrets set staging APP_METRICS_KEY")
    assert second == "APP_TITLE"
    assert third == "APP_PEPER: is no setting; did you mean 'APP_PEPPER'?; uv run ops secrets edit staging"
    given(monkeypatch, value)
    assert ops("set", "staging", "APP_KEYS__OPENAI") == 2
    with pytest.raises(
        NotReady, match=r"(?s)staging\.env\.age: APP_METRICS_KEY: .*staging\.env\.age: APP_PEPER: "
    ):
        secrets.bundle("staging")


def test_a_bundle_is_what_the_app_reads(project, monkeypatch):
    secrets.init("anna")
    for name, value in {"APP_PEPPER": VALUE, "APP_KEYS__OPENAI": "key-of-a-provider"}.items():
        secrets.put("staging", name, value)
    assert secrets.bundle("staging") == {
        "app_pepper": VALUE.encode(),
        "app_keys__openai": b"key-of-a-provider",
    }
    secrets.export("staging", project / "out")
    monkeypatch.setattr(settings, "SECRETS", project / "out")
    assert settings.secrets(settings.load()) == secrets.values("staging")


def test_a_generated_value_is_random_and_replaces_none(capsys):
    secrets.init("anna")
    for stage in ("staging", "production"):
        assert ops("set", stage, "APP_PEPPER", "--generate") == 0
    made = [secrets.values(stage)["APP_PEPPER"] for stage in ("staging", "production")]
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in made)
    assert made[0] != made[1]
    assert not [value for value in made if value in capsys.readouterr().out]
    assert ops("set", "staging", "APP_PEPPER", "--generate") == 2
    assert secrets.values("staging")["APP_PEPPER"] == made[0]


def test_what_a_stage_must_have_comes_from_its_canary_and_the_models():
    kit.write("config/deploy.toml", "[stages.staging.canary]\nsteps = []\n[stages.production]\n")
    kit.models(far="http://127.0.0.1:1")
    kit.edit("config/models.toml", 'name = "far"', 'name = "far"\nkey = "openai"')
    secrets.init("anna")
    secrets.put("staging", "APP_PEPPER", VALUE)
    always = ["APP_PEPPER", "APP_BACKUP_PASSWORD", "APP_METRICS_KEY", "APP_KEYS__OPENAI"]
    assert [said.partition(":")[0] for said in secrets.missing("production")] == always
    assert [said.partition(":")[0] for said in secrets.missing("staging")] == [always[1], always[3]]
    assert secrets.missing("production")[0].endswith(
        "uv run ops secrets set production APP_PEPPER --generate"
    )


def test_a_key_that_is_none_is_a_message(key):
    key.write_text("AGE-SECRET-" + "KEY-1NONSENSE\n")
    with pytest.raises(NotReady, match=r"the key in AGE_KEY or .*key.txt cannot be used: "):
        secrets.init("anna")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "prod"], "stage 'prod' has no secrets (known: none): uv run ops secrets set prod NAME"),
        (["list", "../up"], "'../up' is no name of a stage"),
        (["recipients", "--add", "age1nonsense", "--who", "eve"], "'age1nonsense' is no public key of age"),
        (["recipients", "--add", "age1x"], "say whose key it is: --who NAME"),
        (["recipients", "--remove", "eve"], "secrets/recipients.txt names no 'eve'"),
        (["run", "staging"], "say what to run"),
        (["run", "staging", "--", "no-such-program"], "no-such-program cannot be started: No such file"),
        (["rotate"], "no age key in AGE_KEY or"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(capsys, words, said):
    if words == ["rotate"]:
        kit.write("secrets/staging.env.age", "not encrypted")
    if "--" in words:
        secrets.init("anna")
        secrets.put("staging", "APP_TITLE", "x y")
    assert ops(*words) == 2
    assert said in capsys.readouterr().err
