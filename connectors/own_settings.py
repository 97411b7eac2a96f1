"""What the own settings of every remote kind have in common, and the fields that read them from text.

A kind's settings are a frozen dataclass below `Remote` and a schema below `RemoteSchema` that makes it; both
stand in a module of their kind. A message is the end of a sentence that begins with the key.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

# As marshmallow types them.
_Messages = dict[str, str | list[Any] | dict[Any, Any]]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A secret that stands in a URL: long enough not to be guessed, and nothing that would end its part there.
SHORTEST_SECRET = 16
_SECRET = re.compile(r"[^\s/?#%]+")


# Seconds for one call, and calls in a second or at once, at most: more is a slip.
LONGEST_CALL, MOST_CALLS = 3600, 100_000
# Seconds between two turns, times the three that a try may wait for, and a little apart (clients/limits).
SLOW_TURNS = 3.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A remote system that is called. `rate` is calls a second and `concurrency` calls in flight over all
    workers, reads included, 0 = no limit; `timeout` is in seconds for one call.
    """

    url: str
    timeout: float
    rate: float
    concurrency: int

    @property
    def lease(self) -> float:
        """Seconds that one worker owns what it carries there: docs/architecture.md, "Waits, leases and
        probes". Where the rate is
        slow, the turns of a try's later calls come on top.
        """
        return 2 * self.timeout + 10 + (SLOW_TURNS / self.rate if 0 < self.rate < 1 else 0)


def required(sandbox: str = "sandbox", *, is_secret: bool = False) -> fields.String:
    """A text that must be there; a simulator takes `sandbox` for it where nobody chose."""
    missing: _Messages = {"required": "is missing."}
    told = {"sandbox": sandbox, "secret": is_secret}
    return fields.String(required=True, error_messages=missing, metadata=told)


def secret() -> fields.String:
    """A text that must be there and that nobody is shown; a simulator is given it apart."""
    return required(is_secret=True)


def seconds(default: float) -> fields.Float:
    return _number(default, 0.1, LONGEST_CALL)


def per_second(default: float) -> fields.Float:
    return _number(default, 0, MOST_CALLS)


def count(default: int) -> fields.Integer:
    told = f"must be a whole number from 0 to {MOST_CALLS}."
    wrong: _Messages = dict.fromkeys(("invalid", "too_large"), told)
    within = validate.Range(0, MOST_CALLS, error=told)
    return fields.Integer(load_default=default, validate=within, error_messages=wrong)


def _number(default: float, least: float, most: float) -> fields.Float:
    told = f"must be a number from {least:g} to {most:g}."
    wrong: _Messages = dict.fromkeys(("invalid", "special", "too_large"), told)
    within = validate.Range(least, most, error=told)
    return fields.Float(load_default=default, validate=within, error_messages=wrong)


def one_of(default: str, *others: str) -> fields.String:
    choices = (default, *others)
    told = f"must be one of {', '.join(choices)}."
    return fields.String(load_default=default, validate=validate.OneOf(choices, error=told))


def yes_or_no(*, default: bool) -> fields.Boolean:
    told: _Messages = {"invalid": "must be true or false."}
    return fields.Boolean(load_default=default, error_messages=told)


class Listed(fields.Field[Any]):
    """A list, or text with commas between."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        listed = value.split(",") if isinstance(value, str) else value
        return self.read([part.strip() for part in listed if part.strip()])

    def read(self, parts: Sequence[str]) -> Any:
        return tuple(parts)


class Secrets(Listed):
    """Secrets that stand in a URL."""

    def read(self, parts: Sequence[str]) -> tuple[str, ...]:
        if any(len(one) < SHORTEST_SECRET or not _SECRET.fullmatch(one) for one in parts):
            raise ValidationError(
                f"must be secrets of {SHORTEST_SECRET} characters or more, comma separated, "
                "without blanks and / ? # %: they stand in a URL."
            )
        return tuple(parts)


class Networks(Listed):
    """Addresses and networks."""

    def read(self, parts: Sequence[str]) -> tuple[Network, ...]:
        try:
            return tuple(ipaddress.ip_network(part) for part in parts)
        except ValueError:
            raise ValidationError(
                "must be addresses or networks such as 203.0.113.0/24, comma separated."
            ) from None


class RemoteSchema(Schema):
    """The keys of every remote kind; a kind gives its own defaults of rate and concurrency."""

    class Meta:
        unknown = RAISE

    made: ClassVar[type[Remote]]

    url = required()
    timeout = seconds(30)
    rate = per_second(5)
    concurrency = count(4)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Remote:
        return self.made(**data)
