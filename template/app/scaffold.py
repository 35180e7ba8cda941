"""Write a new feature folder: the files of starter/, which load, answer and pass the gate as they are."""

import shutil
from pathlib import Path

from app import features
from app.errors import ConfigError, Fault

STARTER = Path(__file__).with_name("starter")


def write(root: Path, name: str) -> list[Path]:
    """Write the folder and return its files; raise ConfigError, and write nothing, if it cannot be."""
    folder = root / name
    if not features.NAME.fullmatch(name):
        raise ConfigError([Fault(folder, "", features.NAMING)])
    if folder.exists():
        raise ConfigError([Fault(folder, "", "is there already; choose another name or remove it")])
    shutil.copytree(STARTER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path for path in folder.rglob("*") if path.is_file())
