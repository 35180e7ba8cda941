"""The commands: what they make, and one message with exit code 2 where a person made a mistake."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import alerts, cli, db, embed, features, main, scaffold
from app.alerts import Finding
from app.errors import ConfigError
from tests import kit, stores


def run(*words: str) -> str:
    """Run a command that must end well; gives what it printed."""
    done = CliRunner().invoke(cli.cli, words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def prepared(project, monkeypatch):
    """The project after `app setup`, with a pepper."""
    monkeypatch.setenv("APP_PEPPER", kit.PEPPER)
    run("setup")


def test_a_new_feature_is_five_files_that_load(project):
    written = scaffold.write(Path("features"), "triage")
    assert sorted(path.relative_to("features/triage").as_posix() for path in written) == [
        "adversarial.yaml",
        "feature.toml",
        "golden.yaml",
        "prompts/v1.md",
        "schema.py",
    ]
    assert features.load(Path("features/triage")).spec.prompt == "v1"


async def test_a_new_feature_answers_at_once(project):
    run("feature", "new", "triage")
    async with kit.site() as site:
        said = await site.post("triage", kit.TEXT)
    assert said.json()["output"]["result"]


def test_a_new_feature_changes_no_other_file(project):
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    run("feature", "new", "triage")
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())


def test_a_feature_that_is_there_is_not_overwritten(project):
    kit.write("features/note/prompts/v1.md", "my work")
    with pytest.raises(ConfigError, match="features/note: is there already"):
        scaffold.write(Path("features"), "note")
    assert Path("features/note/prompts/v1.md").read_text() == "my work"


@pytest.mark.parametrize("name", ["", "Note", "a-b", "1a", "../out", "a" * 41, "a\n"])
def test_a_feature_name_that_is_no_route_writes_nothing(project, name):
    with pytest.raises(ConfigError, match="name it with a-z"):
        scaffold.write(Path("features"), name)
    assert sorted(path.name for path in Path("features").iterdir()) == ["ask", "note"]


def test_check_counts_what_is_right(project):
    assert run("check") == "ok: 2 features, 1 models\n"


@pytest.mark.parametrize("words", [("check",), ("setup",), ("serve",)])
def test_a_mistake_in_a_file_is_one_message_and_exit_code_2(project, capsys, words):
    kit.edit("features/note/feature.toml", "max_tokens", "max_token")
    assert kit.command(cli.main, *words) == 2
    said = capsys.readouterr().err
    assert "did you mean 'max_tokens'?" in said
    assert "Traceback" not in said


def test_the_installed_command_ends_without_a_traceback(project):
    kit.write("config/app.toml", "auth = 'open\n")
    command = [sys.executable, "-c", "from app.cli import main; main()", "tenant", "list"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("config/app.toml: not TOML: ")
    assert "Traceback" not in done.stderr


def test_serve_without_a_pepper_ends_before_the_server_starts(project, capsys):
    run("setup")
    assert kit.command(cli.main, "serve") == 2
    assert "APP_PEPPER" in capsys.readouterr().err


def test_the_server_process_ends_with_every_fault_and_no_traceback(project, capsys):
    kit.edit("features/note/feature.toml", "max_tokens", "max_token")
    assert kit.command(main.create) == 2
    assert "did you mean 'max_tokens'?" in capsys.readouterr().err


def test_setup_makes_tables_and_index_and_seed_the_tenants_and_both_repeat(project):
    kit.write("data/seed/tenants.toml", '[tenants.acme]\nname = "Acme"\nbudget_usd = 20.0\n')
    for _ in range(2):
        run("setup")
        assert run("seed").startswith("tenants: acme; 0 rows")
    assert stores.read("select id from tenant where id = 'acme'") == [("acme",)]
    assert list(Path("var/index/_shared").glob("pages-*/*.db"))
    assert "20.00" in run("tenant", "list")


def test_index_says_how_many_pages_it_holds(project):
    assert run("index").startswith("pages: 3 pages in var/index/_shared/pages-")


def test_index_of_a_tenant_says_where_its_pages_would_be(project):
    assert run("index", "--tenant", "acme") == "no pages in var/documents/acme\n"


def test_index_refuses_a_name_that_leads_out_of_the_folder(project, capsys):
    kit.write("outside/pages/secret.md", "# Secret\n\nThe door code.\n")
    assert kit.command(cli.main, "index", "--tenant", "../../outside") == 2
    assert "use a-z, 0-9 and dashes" in capsys.readouterr().err


def test_a_tenant_gets_a_key_that_is_shown_once(prepared):
    run("tenant", "add", "acme", "--budget-usd", "5")
    key = run("tenant", "key", "acme").strip()
    assert key.startswith("sw_")
    assert key not in run("tenant", "list")
    assert run("tenant", "revoke", "acme") == "revoked 1 keys of acme\n"
    assert run("tenant", "revoke", "acme") == "revoked 0 keys of acme\n"


def test_limits_of_a_tenant_are_set_shown_and_taken_away(prepared):
    run("tenant", "add", "acme")
    for which, value in (("budget", "25.5"), ("tokens", "2000000"), ("rate", "120")):
        run("tenant", which, "acme", value)
    assert {"25.50", "2,000,000", "120"} <= set(run("tenant", "list").split())
    assert run("tenant", "tokens", "acme", "unlimited") == "acme: tokens a month: unlimited\n"
    assert "2,000,000" not in run("tenant", "list")


def test_a_limit_that_is_no_number_says_what_to_write(prepared):
    done = CliRunner().invoke(cli.cli, ["tenant", "rate", "acme", "fast"])
    assert done.exit_code == 2
    assert "unlimited or default" in done.stderr


def test_alerts_are_listed_the_open_ones_first_and_with_all_the_ended_too(prepared):
    async def settle(engine, _):
        for found in (["first"], ["second"]):
            named = [Finding("slo-errors", name, "page", f"{name} fails") for name in found]
            await alerts.settle(engine, named, db.now())

    assert run("alerts") == "no alerts\n"
    cli.with_database(settle)
    assert ("second fails" in run("alerts"), "first fails" in run("alerts")) == (True, False)
    every = run("alerts", "--all")
    assert 0 < every.index("second") < every.index("first")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("tenant", "key", "nobody"),
            "no tenant 'nobody'; create it with: uv run app tenant add nobody; all: uv run app tenant list",
        ),
        (("tenant", "add", "No Slug"), "tenant 'No Slug': use a-z, 0-9 and dashes, at most 40 characters"),
    ],
)
def test_a_tenant_that_cannot_be_is_one_message(prepared, capsys, words, said):
    assert kit.command(cli.main, *words) == 2
    assert capsys.readouterr().err.strip() == said


def test_a_command_before_setup_names_setup(project, capsys):
    assert kit.command(cli.main, "tenant", "list") == 2
    assert "run 'uv run app setup'" in capsys.readouterr().err


def test_revoking_keys_of_a_tenant_that_is_not_there_is_a_mistake(prepared, capsys):
    assert kit.command(cli.main, "tenant", "revoke", "nobody") == 2
    assert "no tenant 'nobody'" in capsys.readouterr().err


def test_doctor_names_a_remedy_for_each_thing_that_lacks(project, monkeypatch):
    monkeypatch.setenv("APP_PEPER", "typo")
    kit.write(".env", "APP_PEPPER=\n").chmod(0o644)
    done = CliRunner().invoke(cli.cli, ["doctor", "--port", "1"])
    assert done.exit_code == 1
    for remedy in ("git init", "uv lock", "not read: APP_PEPER", "openssl rand", "chmod 600", "app setup"):
        assert remedy in done.stdout


def test_doctor_names_the_extra_that_an_encoder_needs(embedder, monkeypatch):
    monkeypatch.setitem(embed.PACKAGES, "vectors", ("not_installed",))
    done = CliRunner().invoke(cli.cli, ["doctor", "--port", "1"])
    assert "needs not_installed: uv sync --extra vectors" in done.stdout


def test_doctor_is_content_with_a_project_that_is_set_up(prepared):
    Path(".git").mkdir()
    kit.write("uv.lock", "")
    assert "fail" not in run("doctor", "--port", "1")


def test_doctor_shows_config_faults_and_no_traceback(project):
    kit.edit("features/note/feature.toml", "max_tokens", "max_token")
    done = CliRunner().invoke(cli.cli, ["doctor", "--port", "1"])
    assert done.exit_code == 1
    assert "did you mean 'max_tokens'?" in done.stdout
