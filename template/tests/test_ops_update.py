"""`ops update`: it starts from a clean repository only, and never calls a conflict a success."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ops import cli
from tests import kit

IDENTITY = {
    f"GIT_{who}_{what}": "test@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def git(*words: str) -> None:
    """Run git in the current folder."""
    subprocess.run(["git", *words], check=True, capture_output=True)


def copier_does(script: str) -> None:
    """Put a `uvx` in front of the PATH that does this in Copier's place."""
    program = kit.write("../bin/uvx", f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A project in git, with a branch `theirs` that changed a line which was changed here too."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, value in {**IDENTITY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    git("init", "-q", "-b", "main")
    kit.write(".copier-answers.yml", "_commit: v0.1.0\n")
    commit("base")
    git("checkout", "-q", "-b", "theirs")
    commit("from the template")
    git("checkout", "-q", "main")
    commit("from the client")
    copier_does("git merge -q --no-commit theirs >/dev/null 2>&1; exit 0")


def commit(line: str) -> None:
    """Commit a file with this line."""
    kit.write("app.txt", f"{line}\n")
    git("add", "-A")
    git("commit", "-q", "-m", line)


def update(*words: str) -> int:
    """Run `ops update`."""
    return kit.command(cli.main, "update", *words)


def test_a_conflict_is_exit_code_1_and_lists_the_files(repository, capsys):
    assert update() == 1
    said = capsys.readouterr().err
    assert "both sides changed these files" in said
    assert "  app.txt" in said.splitlines()


def test_an_update_without_a_conflict_tells_the_next_steps(repository, capsys):
    copier_does("echo '_commit: v0.2.0' > .copier-answers.yml")
    assert update() == 0
    said = capsys.readouterr().out
    assert "updating from v0.1.0" in said
    assert "now at v0.2.0" in said


def test_passes_the_wanted_version_on(repository, capsys):
    copier_does('echo "_commit: $*" > .copier-answers.yml')
    assert update("--to", "v0.3.0") == 0
    assert "--vcs-ref=v0.3.0" in capsys.readouterr().out


def test_a_copier_that_fails_is_exit_code_2_with_its_last_line(repository, capsys):
    copier_does("echo first >&2; echo 'no such version' >&2; exit 1")
    assert update() == 2
    assert capsys.readouterr().err == "copier: no such version\n"


def test_uncommitted_changes_are_refused_and_nothing_runs(repository, capsys):
    copier_does("touch ran")
    kit.write("app.txt", "dirty\n")
    assert update() == 2
    assert "uncommitted changes" in capsys.readouterr().err
    assert not Path("ran").exists()


def test_a_folder_without_answers_is_refused(repository, capsys):
    Path(".copier-answers.yml").unlink()
    assert update() == 2
    assert ".copier-answers.yml is missing" in capsys.readouterr().err


def test_a_folder_that_is_no_repository_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    kit.write(".copier-answers.yml", "_commit: v0.1.0\n")
    assert update() == 2
    assert "git init" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "_commit: [\n"])
def test_a_damaged_answers_file_is_one_message(repository, capsys, text):
    kit.write(".copier-answers.yml", text)
    git("add", "-A")
    git("commit", "-q", "-m", "damage")
    assert update() == 2
    assert ".copier-answers.yml" in capsys.readouterr().err
