"""What can go wrong in the tools.

ToolError            the message names the place, the fault and the remedy; exit code 1
├── GitFailed        a git command ended with an error
└── ReleaseRefused   a release would not be reproducible
"""


class ToolError(Exception):
    """A mistake that the person at the terminal can correct."""


class GitFailed(ToolError):
    """A git command ended with an error; the message is git's own."""


class ReleaseRefused(ToolError):
    """A release would not be reproducible."""
