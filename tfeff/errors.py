"""The two ways a command ends badly. Anything else that reaches the user is a bug."""


class TfeffError(Exception):
    """Wrong usage, bad input or a lacking environment: the command ends with exit code 2.

    Args:
        what: what is wrong and where, in one line.
        mend: how to mend it, in one line.
    """

    exit_code = 2

    def __init__(self, what: str, mend: str = ""):
        super().__init__(f"{what}\n  mend: {mend}" if mend else what)
        self.what = what
        self.mend = mend


class GateFailed(TfeffError):
    """All went well, but a gate (accuracy, latency, float island) was not met: exit code 1."""

    exit_code = 1
