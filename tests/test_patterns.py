"""No pattern of the code base takes long over any text: the modules are walked for them, each is attacked."""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
import time
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from marshmallow import ValidationError
from regex_attacks import texts

from clients.bodies import parsed
from clients.errors import masked
from clients.onebox_texts import meaning
from clients.statuses import retry_after_of
from mapping.emails import email
from mapping.fields import TEXT_MAX, Flag, Money, Text, instant, order_key
from mapping.names import name
from mapping.order import Person
from mapping.phones import phone
from mapping.problems import shown
from mapping.recipient_rules import Rules
from mapping.updates import read_update
from simulator.hostile import long_texts

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("cli", "clients", "connectors", "desk", "gateway", "ledger", "mapping", "run", "simulator"),
    "tasks",
)
# What is a program's settings, or runs it as it is imported.
PROGRAMS = {
    "celeryconfig",
    "flowerconfig",
    "gateway.wsgi",
    "ledger.migrations.env",
    "cli.__main__",
    "simulator.__main__",
}
# Characters: what any text of a remote is cut to before a pattern sees it (clients/errors.py, SCANNED;
# clients/onebox_texts.py), and more than any field of an order or an update may hold.
LONGEST = 5_000
SECONDS = 0.05
RULES = Rules()
COMPILING = {
    "compile",
    "sub",
    "subn",
    "match",
    "search",
    "fullmatch",
    "split",
    "findall",
    "finditer",
}


def sources():
    for path in sorted(ROOT.glob("*.py")):
        yield path.stem, path
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if "versions." not in name:
                yield name, path


@cache
def patterns():
    """Every pattern that a module, a class, a schema or a collection of the code base holds, by its place."""
    found = {}
    for place, _ in sources():
        if place not in PROGRAMS:
            for key, value in vars(importlib.import_module(place)).items():
                _walk(value, f"{place}.{key}", found, set())
    # A pattern that is imported elsewhere is one.
    return {place: one for place, one in found.items() if place == _first(found, one)}


def _first(found, one):
    return next(place for place, other in found.items() if other is one)


def _walk(value, place, found, seen):
    # By its type and not by `isinstance`, at which a lazy proxy of Celery's would come to life.
    kind = type(value)
    if kind is re.Pattern:
        found[place] = value
    elif id(value) not in seen:
        seen.add(id(value))
        for key, member in _members(value, kind):
            _walk(member, f"{place}.{key}", found, seen)


def _members(value, kind):
    if issubclass(kind, dict):
        return list(value.items())
    if issubclass(kind, list | tuple | set | frozenset):
        return enumerate(value)
    if issubclass(kind, type):
        return list(vars(value).items()) if _is_ours(value) else ()
    if _is_ours(kind) or kind.__module__.startswith("marshmallow."):
        return list(getattr(value, "__dict__", {}).items())
    return ()


def _is_ours(kind):
    first = kind.__module__.partition(".")[0]
    return first in PACKAGES or (ROOT / f"{first}.py").exists()


def took(pattern, text):
    began = time.thread_time()
    pattern.fullmatch(text)
    pattern.sub(b"" if isinstance(text, bytes) else "", text)
    return time.thread_time() - began


def test_the_walk_finds_the_patterns_of_every_kind_of_place():
    places = set(patterns())
    assert "clients.errors._EMAIL" in places
    assert any(place.startswith("clients.onebox_texts._MEANINGS.") for place in places)
    assert any("UpdateSchema" in place for place in places)
    assert len(places) >= 60


def test_no_pattern_takes_long_over_any_text():
    slow = {}
    for place, pattern in patterns().items():
        for text in texts(pattern, LONGEST):
            if took(pattern, text) > SECONDS:
                best = min(took(pattern, text) for _ in range(3))
                if best > SECONDS:
                    slow[place] = (round(best, 3), text[:30])
                    break
    assert slow == {}


def test_no_pattern_hides_inside_a_function():
    """Where the walk cannot see it."""
    hidden = {
        f"{place}.{function.name}": ast.unparse(call)
        for place, path in sources()
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value) == "re"
        and call.func.attr in COMPILING
    }
    assert hidden == {}


# Whoever reads a text of a remote or a buyer, and the most that may be handed to it.
READERS = {
    "masked": (masked, 100_000),
    "meaning": (meaning, 100_000),
    "first name": (lambda text: name(Person(first=text, last="Коваленко"), RULES), TEXT_MAX),
    "full name": (lambda text: name(Person(full=text), RULES), TEXT_MAX),
    "phone": (lambda text: phone(text, RULES), TEXT_MAX),
    "email": (lambda text: email(text, RULES), TEXT_MAX),
    "money": (lambda text: _read(Money(), text), 100_000),
    "text": (lambda text: _read(Text(), text), 100_000),
    "flag": (lambda text: _read(Flag(), text), 100_000),
    "order key": (order_key, 100_000),
    "instant": (lambda text: instant(text, ZoneInfo("Europe/Kyiv")), 100_000),
    "update": (
        lambda text: read_update({"order_id": text, "tracking_number": text, "note": text}),
        100_000,
    ),
    "retry after": (lambda text: retry_after_of({"Retry-After": text}), 8_000),
    "body": (lambda text: parsed(text.encode()), 8_000),
    "deep body": (lambda text: parsed(("[" * 5_000 + '"' + text).encode()), 8_000),
    "shown": (shown, 100_000),
}


def _read(field, text):
    with contextlib.suppress(ValidationError):
        field.read(text)


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_long_over_any_text(reader):
    read, longest = READERS[reader]
    slow = {}
    for text in long_texts(longest):
        if (
            cost(read, text) > SECONDS
            and (best := min(cost(read, text) for _ in range(3))) > SECONDS
        ):
            slow[text[:20]] = round(best, 3)
    assert slow == {}


def cost(read, text):
    began = time.thread_time()
    read(text)
    return time.thread_time() - began
