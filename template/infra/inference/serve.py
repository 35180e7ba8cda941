"""Serve by llama.cpp the weights that config/models.toml pins, and no others.

serve.py WEIGHTS MODELS_TOML; MODEL in the environment is the table there that says name, sha256 and context.
"""

import hashlib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

REFUSED = 3


class Refused(Exception):
    """The weights are not those that were pinned."""


def main() -> None:
    """Check the weights, then become the server; otherwise say why not in one line."""
    weights, registry = map(Path, sys.argv[1:])
    try:
        model = pinned(registry, os.environ.get("MODEL", "own"))
        check(weights, str(model["sha256"]))
    except Refused as error:
        print(f"refused to start: {error}", file=sys.stderr)
        raise SystemExit(REFUSED) from None
    os.execv(sys.executable, [sys.executable, "-m", "llama_cpp.server", *options(weights, model)])  # noqa: S606


def pinned(registry: Path, name: str) -> dict[str, Any]:
    """The model's table; raise Refused where it has none or no hash."""
    try:
        model = tomllib.loads(registry.read_text(encoding="utf-8")).get("models", {}).get(name, {})
    except (OSError, ValueError) as error:
        raise Refused(f"{registry}: cannot be read ({error})") from None
    if not (model.get("sha256") and model.get("name")):
        raise Refused(f"{registry}: models.{name} needs name and sha256, as `sha256sum FILE` prints it")
    return dict(model)


def check(weights: Path, sha256: str) -> None:
    """Raise Refused unless the file has this hash."""
    try:
        with weights.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        said = f"cannot be read ({error.strerror}); MODEL_FILE in .env names a file in var/models"
        raise Refused(f"{weights}: {said}") from None
    if found != sha256:
        remedy = "fetch the weights again, or, if they are right, write their sha256 into config/models.toml"
        raise Refused(f"{weights}: its sha256 is {found}, pinned is {sha256}; {remedy}")


def options(weights: Path, model: dict[str, Any]) -> list[str]:
    """The server's options; more of them come from the environment, e.g. N_THREADS."""
    told = {
        "model": weights,
        "model_alias": model["name"],
        "n_ctx": model.get("context", 8192),
        "host": "0.0.0.0",  # noqa: S104  # in a container; compose publishes it on this machine alone
        "port": 8080,
        # By default the next request cuts the stream that is running.
        "interrupt_requests": "false",
        # By default every token's logits are kept: context x vocabulary x 4 bytes.
        "logits_all": "false",
        "verbose": "false",
    }
    return [word for name, value in told.items() for word in (f"--{name}", str(value))]


if __name__ == "__main__":
    main()
