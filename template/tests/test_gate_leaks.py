"""What must not be committed: keys of each kind, and secrets in plain text. No key stands here as a whole."""

import re
import subprocess

import pytest
import yaml

from gate import checks, leaks
from tests import kit

PIN = "0f3a" + "5c6b" + "9d12"
MIXED, HEX, LETTERS = "q7Rt2Lw9Zx4Vb6Np", "0f3a" * 4, "qRtLwZxVbNpKdFgH"
KEYS = {
    "openai": "sk-" + MIXED * 3,
    "openai project": "sk-" + "proj-" + f"{MIXED}_" * 6,
    "anthropic": "sk-" + "ant-api03-" + f"{MIXED}-" * 5,
    "openrouter": "sk-" + "or-v1-" + HEX * 4,
    "deepseek": "sk-" + HEX * 2,
    "google": "AI" + "za" + (MIXED * 3)[:35],
    "hugging face": "hf" + "_" + (LETTERS * 3)[:34],
    "groq": "gs" + "k_" + (MIXED * 4)[:52],
    "xai": "xa" + "i-" + MIXED * 5,
    "perplexity": "ppl" + "x-" + MIXED * 3,
    "replicate": "r8" + "_" + (MIXED * 3)[:37],
    "stripe": "sk" + "_live_" + MIXED * 2,
    "webhook": "whs" + "ec_" + MIXED * 2,
    "age": "AGE-SECRET-" + "KEY-1" + (MIXED * 4).upper()[:58],
}
SAFE = [
    "commit 3f32def08c1b4a56e7d9f0123456789abcdef012",
    f'sha256 = "{PIN * 5}"',
    f"revision: '{PIN * 3}'",
    f"DIGEST: {PIN}",
    "sk-learn-pipelines-with-many-steps-and-a-long-name-2",
    "task-0123456789abcdef0123456789abcdef",
    "OPENAI: sk-... or sk-proj-<your key>, hf_..., gsk_xxxx",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p  # anna",
    "hf_hub_download(repo_id, filename, revision, token_of_the_client)",
]


@pytest.fixture
def repository(project):
    """The project as a git repository with its baseline and its detector."""
    subprocess.run(["git", "init", "--quiet"], check=True)
    for name in (".secrets.baseline", "gate/leaks.py"):
        kit.write(name, (kit.ROOT / name).read_text(encoding="utf-8"))
    return project


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_each_kind_is_found_also_behind_an_escaped_line_end(kind):
    detector = leaks.ProviderKeyDetector()
    for text in ("KEY={}", '"text": "Use\\n{}"', "({})", "https://x.test/?key={}&b=1"):
        assert list(detector.analyze_string(text.format(KEYS[kind]))) == [KEYS[kind]]


@pytest.mark.parametrize("text", SAFE)
def test_a_look_alike_is_no_key(text):
    assert list(leaks.ProviderKeyDetector().analyze_string(text)) == []


@pytest.mark.slow
def test_the_gate_finds_each_key_and_no_look_alike(repository):
    kit.write("docs/keys.md", "\n".join(KEYS.values()))
    kit.write("docs/safe.md", "\n".join(SAFE))
    (said,) = checks.failed(checks.STEPS["secrets"])
    found = re.findall(rf"Secret Type: {leaks.ProviderKeyDetector.secret_type}\nLocation: +(\S+)", said)
    assert sorted(found) == sorted(f"docs/keys.md:{n}" for n in range(1, len(KEYS) + 1))
    assert "safe.md" not in said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("secrets/staging.env.age", "is not encrypted; move it away, then: uv run ops secrets edit staging"),
        (".env", "may hold a secret in plain text; git rm --cached .env"),
        (".env.local", "may hold a secret in plain text; git rm --cached .env.local"),
        ("secrets/staging.env", "may hold a secret in plain text; git rm --cached secrets/staging.env"),
        ("age.key", "may hold a secret in plain text; git rm --cached age.key"),
    ],
)
def test_a_file_in_plain_text_is_refused_with_the_remedy(project, path, said):
    assert leaks.plain(kit.write(path, "APP_A=1\n")) == f"{path}: {said}"


@pytest.mark.parametrize("begin", leaks.AGE)
@pytest.mark.parametrize("name", ["secrets/staging.env.age", ".env.age"])
def test_an_encrypted_file_may_be_committed(project, name, begin):
    assert leaks.plain(kit.write(name, begin.decode() + "xyz")) == ""


@pytest.mark.parametrize(
    "name", [".env.example", "secrets/recipients.txt", "keys.py", "docs/env.md", ".envrc"]
)
def test_other_files_may_hold_text(project, name):
    assert leaks.plain(kit.write(name, "text")) == ""


@pytest.mark.slow
def test_the_gate_refuses_a_tracked_env_file(repository):
    kit.write(".gitignore", ".env\n")
    kit.write(".env", "APP_TITLE=x\n")
    assert checks.failed(checks.STEPS["secrets"]) == []
    subprocess.run(["git", "add", "--force", ".env"], check=True)
    assert "git rm --cached .env" in "".join(checks.failed(checks.STEPS["secrets"]))


def test_a_commit_is_checked_by_what_the_gate_runs_and_for_each_such_file():
    text = (kit.ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    hooks = {one["id"]: one for repo in yaml.safe_load(text)["repos"] for one in repo["hooks"]}
    entries = [hooks[name]["entry"].split()[3:] for name in ("detect-secrets", "plain-secrets")]
    assert entries == [checks.STEPS["secrets"][0], ["python", "-m", *checks.STEPS["secrets"][1]]]
    looked_at = re.compile(hooks["plain-secrets"]["files"])
    assert all(map(looked_at.search, [".env", ".env.local", "secrets/a.env.age", "b.env", "c.key"]))
