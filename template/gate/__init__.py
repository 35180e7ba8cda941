"""What decides whether a change may be merged: it runs where changes are made, never in production."""

import atexit
import gc

# Most of what a command makes lives until it ends, soon: to look for garbage would take a fourth of its time.
gc.set_threshold(200_000, 20, 20)
atexit.register(gc.freeze)
