"""Why the desk cannot do what a person asks: five reasons, each with a sentence for the person.

Raised by desk, and by run/rehearsal for the sandbox; the doors turn a class into an exit code or a status.
"""

from __future__ import annotations

from collections.abc import Mapping


class DeskError(Exception):
    """What was asked for was not done; the message says why."""


class Absent(DeskError):  # noqa: N818  it says what is, as the errors of clients do
    """There is nothing of that kind."""


class Impossible(DeskError):  # noqa: N818  as above
    """It is not possible in the present state."""


class Failed(DeskError):  # noqa: N818  as above
    """It was tried, and a remote or a store did not answer as it should."""


class Wrong(DeskError):  # noqa: N818  as above
    """What was asked for makes no sense; `errors` are keyed by field where a field is at fault."""

    def __init__(self, sentence: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(sentence)
        self.errors = dict(errors or {})


class KeyTaken(Wrong):
    """The idempotency key was used before, for another update."""
