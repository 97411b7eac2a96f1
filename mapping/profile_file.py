"""A profile's file, read against its schema: what goes in is a path, what comes out is checked values.

Raises ProfileError, which names the file and the key. Called by source_profile.py and target_profile.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from marshmallow import RAISE, Schema, ValidationError

from mapping.fields import Sloppy, short_text
from mapping.hook import HookError
from mapping.milestones import MilestoneError
from mapping.paths import Getter, PathError, compile_path
from mapping.single_profile import steps_to_split
from mapping.statuses import MachineError
from mapping.target import FormError
from mapping.yamlfile import read_yaml

__all__ = ["PathField", "ProfileError", "Strict", "Word", "checked", "read_profile"]


class ProfileError(ValueError):
    """A profile's file cannot be used; the message names the file and the key."""


class Strict(Schema):
    """Base of what a profile says: an unknown key is a mistake."""

    class Meta:
        """Marshmallow's settings of a schema."""

        unknown = RAISE


class PathField(Sloppy):
    """A JMESPath, compiled."""

    def read(self, value: Any) -> Getter:
        """Compile a path; raises ValidationError."""
        if not isinstance(value, str):
            raise ValidationError("a path is text")
        try:
            return compile_path(value)
        except PathError as error:
            raise ValidationError(str(error)) from error


class Word(Sloppy):
    """An id or a name, as text."""

    def read(self, value: Any) -> str:
        """Read a word; raises ValidationError."""
        text = short_text(value)
        if text is None:
            raise ValidationError("an id or a name is needed")
        return text


@contextmanager
def checked(path: Path) -> Iterator[None]:
    """Give every mistake that is found inside as a ProfileError of this file."""
    try:
        yield
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ProfileError(f"{path}: {'; '.join(_places(error.messages))}") from error
    except (FormError, PathError, MachineError, HookError, MilestoneError) as error:
        raise ProfileError(f"{path}: {error}") from error


def read_profile(path: Path, schema: Schema) -> dict[str, Any]:
    """Read a file by the schema; to be called inside `checked`.

    A profile of the form that had source and target in one file is refused with the steps to split it.
    """
    read = read_yaml(path)
    if not isinstance(read, dict):
        names = [name for name, field in schema.fields.items() if field.required]
        raise ProfileError(f"{path}: a profile is a table of {', '.join(names)}")
    steps = steps_to_split(read)
    if steps:
        raise ProfileError(f"{path}: {steps}")
    data: dict[str, Any] = schema.load(read)
    return data


def _places(messages: Any, place: str = "") -> list[str]:
    if not isinstance(messages, dict):
        return [f"{place or 'profile'}: {' '.join(map(str, messages))}"]
    return [
        line
        for key, inner in messages.items()
        for line in _places(inner, f"{place}.{key}" if place else str(key))
    ]
