"""Save what a stage holds, restore it, and prove that it can be restored.

Runs in the image of the server's tools. Secrets are files in /run/secrets and reach a program by a file or by
its own environment. The output is JSON. Exit code: 0 done, 1 a drill found differences, 2 not done.
"""

import argparse
import json
import os
import sqlite3
import sys
from typing import Any

import night
import saving
from restic import Refused, Repository
from saving import Places


def arguments(words: list[str]) -> argparse.Namespace:
    """What to do."""
    parser = argparse.ArgumentParser(prog="backup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repository", default="/backups/restic", help="a folder, or s3:https://host/bucket")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("snapshot").add_argument("tag")
    nightly = commands.add_parser("nightly")
    nightly.add_argument("at", metavar="HH:MM")
    nightly.add_argument(
        "--keep", nargs=3, type=int, default=[7, 4, 6], metavar=("DAILY", "WEEKLY", "MONTHLY")
    )
    for name in ("find", "restore", "drill"):
        commands.add_parser(name).add_argument("which", help="an id, a tag or latest")
    commands.choices["restore"].add_argument("--save-as", default="", metavar="TAG")
    return parser.parse_args(words)


def perform(asked: argparse.Namespace, places: Places) -> Any:
    """Do one thing and say what came of it."""
    repository = Repository(asked.repository, places.kept / "cache", places.secrets)
    if asked.command == "nightly":
        night.repeat(places, repository, asked.keep, asked.at)
    with saving.alone(places):
        if asked.command == "list":
            return repository.snapshots()
        if asked.command == "find":
            return repository.find(asked.which)
        if asked.command == "snapshot":
            return saving.save(places, repository, asked.tag)
        if asked.command == "restore":
            return saving.restore(places, repository, asked.which, asked.save_as)
        return saving.drill(places, repository, asked.which)


def main() -> int:
    """Entry point."""
    os.umask(0o077)
    try:
        done = perform(arguments(sys.argv[1:]), Places())
    except (Refused, OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(done))
    return 1 if isinstance(done, dict) and done.get("differences") else 0


if __name__ == "__main__":
    sys.exit(main())
