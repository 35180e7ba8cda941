"""Run inside a rendered project's environment: the gate's own command line in many copies of the project.

Each line on stdin is a job; each line on stdout tells its exit code. What the project needs from others is
imported once; its own code is not: every job is a fork that imports app/, gate/ and features/ of its copy.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

OWN = ("app", "gate", "features", "ops")


def main() -> None:
    """Run jobs until stdin ends."""
    warm_up(Path(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps({"exit": run(json.loads(line))}), flush=True)


def warm_up(project: Path) -> None:
    """Import what the gate imports, then forget the project's own modules."""
    sys.path.insert(0, str(project))
    for name in ("gate.cli", "app.lean", "app.clients", "openai", "pydantic_ai.models.openai", "jinja2"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
        del sys.modules[name]
    sys.path.remove(str(project))


def run(job: dict[str, Any]) -> int:
    """One command in one folder, in a process of its own; its words go to gate.log there."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 3
    try:
        code = command(job)
    except BaseException:  # whatever it is: the parent's loop must not run on in this process
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def command(job: dict[str, Any]) -> int:
    """Do what `uv run gate ...` does in the job's folder; its exit code."""
    os.chdir(job["folder"])
    log = os.open("gate.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(job["environment"])
    sys.path.insert(0, job["folder"])
    sys.argv = ["gate", *job["command"]]
    from gate.cli import main as gate

    try:
        gate()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    main()
