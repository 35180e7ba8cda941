"""Real sentences of this machine: the documentation of Python and of libraries, Debian's packages."""

import ast
import importlib.util
import random
import re
import site
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")
DEFINITION = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
MIN_WORDS, MAX_WORDS = 3, 40
SEED = 7


def collect(count: int) -> list[str]:
    """So many different sentences in an order without meaning; fewer where the machine has no more.

    Python's own documentation and Debian's descriptions first, then docstrings of the installed libraries.
    """
    found: dict[str, None] = dict.fromkeys([*of_python(), *of_debian()])
    if len(found) < count:
        found |= dict.fromkeys(of_folder(Path(site.getsitepackages()[0])))
    sentences = list(found)[:count]
    random.Random(SEED).shuffle(sentences)
    return sentences


def of_python() -> Iterator[str]:
    """The standard library's docstrings, and the language reference that `help()` shows."""
    yield from of_folder(Path(sysconfig.get_paths()["stdlib"]))
    if importlib.util.find_spec("pydoc_data"):
        from pydoc_data import topics

        for text in topics.topics.values():
            yield from cut(text)


def of_folder(folder: Path) -> Iterator[str]:
    """The sentences of every docstring below a folder."""
    for path in sorted(folder.rglob("*.py")):
        if not {"test", "tests", "site-packages"} & set(path.relative_to(folder).parts):
            yield from of_module(path)


def of_module(path: Path) -> Iterator[str]:
    """The sentences of one module's docstrings; none where it cannot be read."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, DEFINITION) and (said := ast.get_docstring(node)):
            yield from cut(said)


def of_debian() -> Iterator[str]:
    """What each package of Debian is, in a line."""
    listed = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        if line.startswith("Description: "):
            yield from cut(line.partition(": ")[2])


def cut(text: str) -> Iterator[str]:
    """The sentences of a text that are neither very short nor long."""
    for part in END.split(text):
        words = part.split()
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            yield " ".join(words)
