"""The one error of a run that cannot go on; why and what to do is its message. Caught by cli/running."""


class RunError(Exception):
    """The system cannot be started; the message says why and what to do."""
