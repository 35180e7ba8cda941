"""uv run gate: what has to be set before anything large is imported."""

import atexit
import gc


def main() -> None:
    """Entry point. Most of what the command makes lives until it ends: looking for garbage finds little."""
    gc.set_threshold(200_000, 20, 20)
    atexit.register(gc.freeze)
    from gate import cli

    cli.main()
