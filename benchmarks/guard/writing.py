"""Prose of others that attacks nobody and names hardly anybody."""

import ast
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path


def texts() -> dict[str, list[str]]:
    """Prose of others: docstrings of the standard library, and Debian descriptions where there are any."""
    found = {"docstrings": docstrings()}
    if shutil.which("apt-cache"):
        known = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True).stdout
        described = re.findall(r"^Description(?:-en)?: (.*(?:\n .*)*)", known, re.M)
        found["Debian descriptions"] = sorted(set(described))[:5000]
    return {name: listed for name, listed in found.items() if listed}


def docstrings() -> list[str]:
    """Every docstring of the standard library's modules."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(ast.get_docstring(node) or "")
    return [text for text in found if text]
