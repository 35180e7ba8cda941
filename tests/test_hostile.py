"""A hostile answer is carried verbatim into every file that holds it, or refused in one clear line."""

import json
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests import frontends
from tests.conftest import ROOT
from tools import checkout, git

Answers = dict[str, str]

COOKIECUTTER = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
LICENSES = ("MIT", "Apache-2.0", "Proprietary")
FIELDS = {
    "project_name": ("The name", 60),
    "description": ("The description", 200),
    "author": ("The owner", 80),
}

CONTROL = "{0} must be one line without control characters, those of text direction included."
EDGE = "{0} must not be empty, nor start or end with a space."
LONG = "{0} may have at most {1} characters."
SLUG = "The short name has at most 40 of a-z, 0-9 and single dashes, and starts with a letter."
SHORT = "The short name has at least two characters."
RESERVED = "This short name is reserved on Windows; choose another."
EMAIL = "This does not look like an e-mail address (name@example.com)."

# fmt: off
TEXTS = [
    "it's", '"quoted"', "'''", '"""', "\u2018a\u2019 \u201cb\u201d \u00abc\u00bb",
    "{{7*7}}", "{{ project_slug }}", "{{ cookiecutter.email }}", "{% raw %}", "{% endraw %}", "{# note #}",
    "${HOME}", "$(id)", "`id`", "; rm -rf x", "a && b | c > d", "!$ * ? ~", "-n", "%PATH%", "%s %d",
    "../x", "/abs", "a/b", "C:\\temp\\new", "ends with \\", "\\u0000 \\n \\x00", "con", "aux.txt", "dots...",
    "\U0001f680 \U0001f469\u200d\U0001f469\u200d\U0001f467", "e\u0301 o\u0323\u0308", "\u65e5\u672c\u8a9e",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd", "\u05d0\u200f a", "a\ufeff\ufffe", "a\u00a0b",
    "yes", "null", "~", "- x", "a: b # c", "!!python/object:os.system", "*anchor", "&anchor x", "? x", "---",
    "[a, b]", "{a: b}", "| x", "@x", "0o17", "1e3", "2026-11-23", "#", "=1+1",
    "<script>alert(1)</script>", "<!-- x", "]]>", "&amp;", "a" * 60,
]
BAD_TEXTS = [
    *((f"a{control}b", CONTROL) for control in (
        "\n", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\udcff",
        "\u202a", "\u202e", "\u2066", "\u2069",
    )),
    ("a\n", CONTROL), (" ", EDGE), (" a", EDGE), ("a\u00a0", EDGE), *[("a" * 300, LONG)] * 3,
]
BAD_SLUGS = [
    *((slug, SLUG) for slug in (
        "../x", "/abs", "a/b", "a\\b", "a b", "a.", "aux.txt", "A", "\u00e9", "-a", "a--b", "{{7*7}}",
        "a\n", "x" * 300,
    )),
    ("a", SHORT), *((slug, RESERVED) for slug in ("con", "nul", "com1", "lpt9")),
]
BAD_EMAILS = [
    "a@b", "a@b.de\n", "<a@b.de>", '"a"@b.de', "$(id)@b.de", "a\0@b.de", "\u202ea@b.de", "{{7*7}}@b.de",
    "a" * 300 + "@b.de",
]
EXACT = [
    {"project_slug": "null", "email": "a.b+c@mail.example.org"},
    {"project_slug": "con-1", "email": "null@yes.no"},
    {"project_slug": "x" * 40, "email": "%s_@b-c.de"},
]
# fmt: on

EVERYWHERE = [dict.fromkeys(FIELDS, text) | {"license": LICENSES[n % 3]} for n, text in enumerate(TEXTS)]
# Cookiecutter takes seconds: three texts in one project.
THREES = [dict(zip(FIELDS, TEXTS[n : n + 3], strict=True)) for n in range(0, len(TEXTS), 3)]


def refusal(field: str, text: str, reason: str) -> tuple[str, str, str]:
    """Return a field, its text and the one line that refuses it."""
    return field, text, f"Validation error for question '{field}': {reason.format(*FIELDS.get(field, ()))}"


REFUSED = [
    *(refusal([*FIELDS][n % 3], *case) for n, case in enumerate(BAD_TEXTS)),
    *(refusal("project_slug", *case) for case in BAD_SLUGS),
    *(refusal("email", text, EMAIL) for text in BAD_EMAILS),
]
every_refusal = pytest.mark.parametrize(
    ("field", "text", "line"), REFUSED, ids=[f"{field}-{text[:20]!a}" for field, text, _ in REFUSED]
)


@pytest.fixture(scope="module")
def small(template: Path, shared: Path) -> Path:
    """Return the template with only what is rendered: the same questions and files in half the time."""
    root = shared / "small"
    with FileLock(shared / "small.lock"):
        if not root.exists():
            git.run(shared, "clone", "--quiet", str(template), str(root))
            for path in (root / "template").rglob("*"):
                if path.is_file() and path.suffix != ".jinja":
                    path.unlink()
            git.run(root, "add", "--all")
            checkout.commit(root, "small state", 3)
    return root


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the temporary folder that both front ends use, in this process and in others."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def answer(template: Path, folder: Path, answers: Answers) -> Path:
    """Answer Cookiecutter by typing, or on the command line what no keyboard gives it."""
    if any(re.search(r"[\n\udc80-\udcff]", text) or text != text.strip() for text in answers.values()):
        return frontends.bake(template, folder, **answers)
    folder.mkdir()
    typed = "".join(f"{answers.get(field, '')}\n" for field in COOKIECUTTER if not field.startswith("_"))
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", "--output-dir", str(folder), str(template)],
        cwd=folder,
        env=frontends.environment() | {"HOME": str(folder.parent / "home"), "PYTHONUTF8": "1"},
        input=typed.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise frontends.CookiecutterFailed(done.stderr.decode())
    return next(folder.iterdir())


def assert_carried(project: Path, answers: Answers) -> None:
    """Read every answer back from each file that holds it."""
    stored = yaml.safe_load(read(project, ".copier-answers.yml"))
    assert {field: stored[field] for field in answers} == answers
    table = tomllib.loads(read(project, "pyproject.toml"))["project"]
    assert (table["name"], table["description"]) == (stored["project_slug"], stored["description"])
    assert table["authors"] == [{"name": stored["author"], "email": stored["email"]}]
    config = tomllib.loads(read(project, "config/app.toml"))
    assert (config["title"], config["description"]) == (stored["project_name"], stored["description"])
    readme = read(project, "README.md")
    assert readme.startswith(f"# {stored['project_name']}\n\n{stored['description']}\n\n")
    owner = rf"^Copyright (\(c\) )?{re.escape(stored['author'])}(\. All rights reserved\.)?$"
    assert re.search(owner, read(project, "LICENSE"), re.MULTILINE)
    assert f"<{stored['email']}>" in read(project, "SECURITY.md")


def read(project: Path, file: str) -> str:
    """Return a file's text, its line ends as they are."""
    return (project / file).read_bytes().decode()


@pytest.mark.parametrize("answers", EVERYWHERE + EXACT, ids=ascii)
def test_copier_carries(small: Path, tmp_path: Path, temporary: Path, answers: Answers) -> None:
    assert_carried(frontends.copy(small, tmp_path / "copied", answers), answers)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("answers", THREES + EXACT, ids=ascii)
def test_cookiecutter_carries(small: Path, tmp_path: Path, temporary: Path, answers: Answers) -> None:
    assert_carried(answer(small, tmp_path / "baked", answers), answers)
    assert list(temporary.iterdir()) == []


@every_refusal
def test_copier_refuses(small: Path, tmp_path: Path, field: str, text: str, line: str) -> None:
    with pytest.raises(ValueError, match=f"\\A{re.escape(line)}\\Z"):
        frontends.copy(small, tmp_path / "copied", {field: text})
    assert list(tmp_path.rglob("*")) == [tmp_path / "temporary"]


@every_refusal
def test_cookiecutter_refuses(
    small: Path, tmp_path: Path, temporary: Path, field: str, text: str, line: str
) -> None:
    with pytest.raises(frontends.CookiecutterFailed) as refused:
        answer(small, tmp_path / "baked", {field: text})
    lines = str(refused.value).split("\n")
    assert [said for said in lines if said.startswith("slipway:")] == [f"slipway: {line}"]
    assert list((tmp_path / "baked").iterdir()) == list(temporary.iterdir()) == []


def test_shell_and_python_find_a_hostile_project(small: Path, tmp_path: Path) -> None:
    target, owner = tmp_path / 'it\'s a "folder" $(id)', "`id` $HOME 'it'"
    command = [sys.executable, "-m", "copier", "copy", "--defaults", "--data", f"author={owner}"]
    done = subprocess.run([*command, str(small), str(target)], capture_output=True, text=True, check=True)
    (move,) = (line for line in done.stderr.splitlines() if line.startswith("  cd "))
    code = (
        "import tomllib; print(tomllib.load(open('pyproject.toml', 'rb'))['project']['authors'][0]['name'])"
    )
    script = f'{move}\nprintf "%s\\n" "$PWD" "$({shlex.join([sys.executable, "-c", code])})"'
    printed = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
    assert printed == f"{target}\n{owner}\n"
