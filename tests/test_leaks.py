"""A commit of a generated project: keys and secrets in plain text are refused, encrypted stages are not."""

import subprocess
from collections.abc import Callable

import pytest

from tests.rendered import Project

KEYS = {
    "openai": "sk-" + "proj-" + "q7Rt2Lw9Zx4Vb6Np_" * 6,
    "anthropic": "sk-" + "ant-api03-" + "q7Rt2Lw9Zx4Vb6Np-" * 5,
    "age": "AGE-SECRET-" + "KEY-1" + "Q7RT2LW9ZX4VB6NP" * 4,
}


def git(made: Project, *words: str) -> None:
    """Run git in the project."""
    subprocess.run(["git", *words], cwd=made.root, check=True, capture_output=True)


def test_a_commit_with_a_key_or_a_plain_secret_is_refused_and_one_with_encrypted_ones_is_not(
    project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project()
    monkeypatch.setenv("AGE_KEY_FILE", str(made.root.parent / "key.txt"))
    made.check("ops", "secrets", "init", "--who", "anna")
    made.check("ops", "secrets", "set", "production", "APP_PEPPER", "--generate")
    git(made, "add", "-A")
    hooks = ("detect-secrets", "plain-secrets")
    for name in hooks:
        made.check("pre-commit", "run", name, "--all-files")
    for name, key in KEYS.items():
        (made.root / f"docs/{name}.md").write_text(f"The key is {key} for now.\n")
    (made.root / ".env").write_text("APP_TITLE=x\n")
    (made.root / "secrets/staging.env.age").write_text("APP_TITLE=x\n")
    git(made, "add", "-A")
    git(made, "add", "--force", ".env")
    told = [made.run("pre-commit", "run", name) for name in hooks]
    assert [done.returncode for done in told] == [1, 1]
    assert [name for name in KEYS if f"docs/{name}.md:1" not in told[0].stdout] == []
    assert "git rm --cached .env" in told[1].stdout
    assert "secrets/staging.env.age: is not encrypted" in told[1].stdout
    assert "production" not in told[1].stdout
