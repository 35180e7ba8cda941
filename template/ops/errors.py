"""Why an operation was not done.

OpsError                 exit code 2
├── NotReady             something must be put right first; nothing was changed
├── Conflicts            exit code 1: done, but a person must settle what is listed
├── Failed               exit code 1: it was tried and undone; what served before still serves
├── Locked               exit code 3: somebody else deploys; nothing was changed
└── Lost                 exit code 4: the machine or the lock is gone; the next run finishes or undoes
"""


class OpsError(Exception):
    """Root of this package's errors."""

    exit_code = 2


class NotReady(OpsError):
    """Something must be put right first; nothing was changed."""


class Conflicts(OpsError):
    """The update is in the work tree, and some lines were changed on both sides."""

    exit_code = 1


class Failed(OpsError):
    """It was tried and undone; what served before still serves."""

    exit_code = 1


class Locked(OpsError):
    """Somebody else deploys; nothing was changed."""

    exit_code = 3


class Lost(OpsError):
    """The machine or the lock is gone; the next run finishes or undoes what it finds."""

    exit_code = 4
