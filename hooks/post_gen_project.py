# /// script
# dependencies = ["copier>=9.19,<10"]
# ///
"""Hand Cookiecutter's answers to Copier, which checks them and renders the project."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Cookiecutter renders this file. The raw text is safe: JSON leaves no bare quote that could end it.
CONTEXT = r"""{{ cookiecutter | tojson }}"""

NEEDS_COPIER = "slipway: Copier is needed too: uvx --with 'copier>=9.19,<10' cookiecutter ..."
GIT_URLS = ("git@", "git+", "git://", "https://github.com/", "https://gitlab.com/")


def main() -> int:
    """Render here when Copier can be imported, else where a tool provides it."""
    if not find_spec("copier"):
        return run_with_copier()
    context = json.loads(CONTEXT)
    root, project = template_root(context), Path.cwd()
    render(root, project, context)
    remember_origin(root, project, context)
    print(f"{project.name} is ready; its README.md says what comes next.")
    return 0


def run_with_copier() -> int:
    """Run this file again with uv or pipx, which read the header above; once, never in a circle."""
    for tool, arguments in (("uv", ["run", "--quiet", "--script"]), ("pipx", ["run"])):
        if "SLIPWAY_HOOK" not in os.environ and (path := shutil.which(tool)):
            environment = os.environ | {"SLIPWAY_HOOK": "again"}
            command = [path, *arguments, __file__]
            return subprocess.run(command, env=environment, check=False).returncode
    sys.exit(NEEDS_COPIER)


def template_root(context: dict[str, Any]) -> Path:
    """Return the template's folder; Cookiecutter names it relative to where it was started."""
    for base in (os.environ.get("PWD"), context["_output_dir"]):
        root = Path(base or ".", context["_repo_dir"])
        if root.is_absolute() and (root / "copier.yml").is_file():
            return root.resolve()
    sys.exit(f"slipway: no template at {context['_repo_dir']}; name it by an absolute path")


def render(root: Path, project: Path, context: dict[str, Any]) -> None:
    """Let Copier write the project; when the hook fails, Cookiecutter removes the folder."""
    import copier

    try:
        copier.run_copy(
            str(root),
            project,
            data=answers(context),
            vcs_ref=context["_checkout"],
            defaults=True,
            overwrite=True,
            quiet=True,
        )
    except (copier.errors.CopierError, ValueError, TypeError) as error:
        sys.exit(f"slipway: {error}")


def answers(context: dict[str, Any]) -> dict[str, Any]:
    """Return the answers in Copier's types; an empty one is left to Copier's default."""
    given = {key: text for key, text in context.items() if not key.startswith("_") and text != ""}
    if "features" in given:
        names = [name.strip() for name in given["features"].split(",")]
        given["features"] = [] if names == ["none"] else names
    return given


def remember_origin(root: Path, project: Path, context: dict[str, Any]) -> None:
    """Point `copier update` at the template's address, not at Cookiecutter's clone of it."""
    if context["_repo_dir"] == context["_template"]:
        return
    git = ["git", "-C", str(root), "remote", "get-url", "origin"]
    url = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    if not url:
        return
    if not url.endswith(".git") and not url.startswith(GIT_URLS):
        url = f"git+{url}"
    file = project / ".copier-answers.yml"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [f"_src_path: {url}\n" if line.startswith("_src_path:") else line for line in lines]
    file.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        Path(__file__).unlink(missing_ok=True)  # Cookiecutter leaves its rendered hooks behind
