"""A process that stands beside another one and ends with it, however that ended."""

import os
import signal
import sys
import threading


def hold() -> None:
    """From now on this process stops when its input ends: whoever started it holds the other side."""
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()


def stop_at_end_of_input() -> None:
    """Wait for the end of the input, then ask this process to stop."""
    while os.read(sys.stdin.fileno(), 1024):  # not through sys.stdin: its lock would break an exit meanwhile
        pass
    os.kill(os.getpid(), signal.SIGTERM)
