"""Why an operation was not done.

OpsError                 exit code 2
├── NotReady             something must be put right first; nothing was changed
└── Conflicts            exit code 1: done, but a person must settle what is listed
"""


class OpsError(Exception):
    """Root of this package's errors."""

    exit_code = 2


class NotReady(OpsError):
    """Something must be put right first; nothing was changed."""


class Conflicts(OpsError):
    """The update is in the work tree, and some lines were changed on both sides."""

    exit_code = 1
