"""JMESPath expressions, compiled once when a profile is loaded.

A plain dotted path, which most are, becomes direct look-ups; its meaning stays JMESPath's.
"""

import re
from collections.abc import Callable

import jmespath
from jmespath.exceptions import JMESPathError

__all__ = ["Getter", "PathError", "compile_path", "is_dotted"]

Getter = Callable[[object], object]

_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class PathError(ValueError):
    """The expression is no JMESPath."""


def is_dotted(expression: str) -> bool:
    """Tell whether the expression is names joined by dots and nothing else."""
    return _DOTTED.fullmatch(expression) is not None


def compile_path(expression: str) -> Getter:
    """Give a function from any JSON value to what the expression finds there, or None.

    A function inside the expression that meets a value of another type finds nothing.
    Raises PathError when the expression is no JMESPath.
    """
    if is_dotted(expression):
        return _dotted(expression.split("."))
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as error:
        raise PathError(f"{expression!r} is no JMESPath: {error}") from error

    def find(value: object) -> object:
        try:
            return compiled.search(value)
        except (JMESPathError, TypeError, ValueError, OverflowError):
            return None

    return find


def _dotted(names: list[str]) -> Getter:
    if len(names) == 1:
        (only,) = names
        return lambda value: value.get(only) if isinstance(value, dict) else None
    if len(names) == 2:
        return _two(*names)

    def walk(value: object) -> object:
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return walk


def _two(outer: str, inner: str) -> Getter:
    def find(value: object) -> object:
        if not isinstance(value, dict):
            return None
        group = value.get(outer)
        return group.get(inner) if isinstance(group, dict) else None

    return find
