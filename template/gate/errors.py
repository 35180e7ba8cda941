"""Why the gate could not judge. A verdict of 'no' is not an error: it is exit code 1.

GateError                exit code 2
├── BadCases             a case file is wrong
├── BadBaseline          a baseline cannot be read
├── BadRecording         a file of recorded answers is damaged
├── NotRecorded          cases ask for answers that are not recorded, or not any more
├── LoadFailed           the app or a load program did not run to its end
├── NoIncident           a recorded answer cannot become a case
└── UnknownFeature       no such feature
"""

from app.errors import Fault


class GateError(Exception):
    """Root of this package's errors."""


class BadCases(GateError):
    """Case files that cannot be used; the message lists every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("\n".join(str(fault) for fault in faults))


class BadBaseline(GateError):
    """A baseline that cannot be read."""


class BadRecording(GateError):
    """A file of recorded answers is damaged."""


class NotRecorded(GateError):
    """Cases ask for answers that no recording holds."""


class LoadFailed(GateError):
    """A load test that did not come to its end; the message holds the last words of what failed."""


class NoIncident(GateError):
    """A recorded answer that cannot become a case."""


class UnknownFeature(GateError):
    """A name on the command line that no feature has."""
