"""Whether a command line that a text names can be pasted: it exists, with these options and no others.

In: the words behind `orderbridge`. Out: nothing; fails as the command itself would, without running it. Used
by the tests of texts and of documents.
"""

from __future__ import annotations

from functools import cache

import click
import typer

from cli.app import app
from mapping.statuses import ACTIONS


@cache
def _whole():
    return typer.main.get_command(app)


def parse(words):
    """Read these words as the command line does, and look whether actions are the shop's."""
    command, rest = _whole(), list(words)
    while isinstance(command, click.Group) and rest:
        name = rest.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"{name!r} is no command of {command.name}")
        command = command.commands[name]
    context = command.make_context(command.name, rest)
    for machine, actions in ACTIONS.items():
        asked = context.params.get(machine)
        if asked is not None and asked not in actions:
            raise click.UsageError(f"{asked!r} is no action of {machine}")
    return context
