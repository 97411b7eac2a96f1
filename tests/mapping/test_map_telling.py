"""The message to people: in both languages, bounded, by ids and codes alone."""

from __future__ import annotations

import re
import shlex
import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml

from cli.app import app
from mapping import telling
from mapping.problems import codes
from mapping.telling import MOST, Concern, News

AT = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
HELD = Concern(
    "held", "shop", AT, AT, "recipient_phone_missing", 40, ("9", "8", "7", "6", "5"), order_id="9"
)
KINDS = ("held", "parked", "stopped", "silent", "quiet")
TEXTS = Path(telling.__file__).parent / "texts"
languages = pytest.mark.parametrize("language", ["en", "uk"])


def loaded(language):
    return yaml.safe_load((TEXTS / f"telling.{language}.yaml").read_text())


def flat(texts, path=()):
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, key))
        else:
            names = {name for _, name, _, _ in string.Formatter().parse(value) if name}
            yield (*path, key), names


def test_both_languages_say_the_same():
    assert dict(flat(loaded("en"))) == dict(flat(loaded("uk")))


def test_a_message_says_how_many_which_why_and_what_to_do():
    title, text = telling.message(News(begun=(HELD,)), "en")
    assert title == "orderbridge: this waits for a person"
    lines = text.splitlines()
    assert lines[0] == "Held orders of shop: 40 (9, 8, 7, 6, 5 and 35 more)."
    assert "Order 9" in lines[1]
    assert "phone" in lines[1]
    assert lines[2] == "orderbridge orders list --state held --connection shop"


def test_a_number_that_is_the_least_says_so():
    _, text = telling.message(News(begun=(replace(HELD, is_more=True),)), "en")
    assert text.startswith("Held orders of shop: 40+ (")


@languages
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", ["", "breaker", "fault", "remote", "person", "never"])
@pytest.mark.parametrize("lead", ["begun", "more", "still"])
def test_every_matter_has_its_words_and_a_command_that_exists(language, kind, code, lead):
    concern = replace(HELD, kind=kind, code=code, detail="said")
    _, text = telling.message(News(**{lead: (concern,)}), language)
    assert "shop" in text
    assert "{" not in text
    words = shlex.split(text.splitlines()[-1])
    assert words.pop(0) == "orderbridge"
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {name for param in command.params for name in param.opts}
    assert set(words[::2]) <= options


@languages
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_has_its_words(language, kind):
    title, text = telling.message(News(over=((kind, "shop"),)), language)
    assert title == loaded(language)["titles"]["over"]
    assert text


@languages
@pytest.mark.parametrize("code", sorted(codes("en")))
def test_every_reason_is_told_without_what_was_found(language, code):
    for kind in ("held", "parked"):
        _, text = telling.message(News(begun=(replace(HELD, kind=kind, code=code),)), language)
        assert not re.search(r"«»|“”|\(\)| [,.;:]|……", text.splitlines()[1])
        assert "{" not in text


def test_the_longest_message_is_taken_by_every_messenger():
    """Discord takes 2,000 characters, the least of them."""
    long = replace(
        HELD, connection="c" * 31, ids=("i" * 64,) * 5, order_id="i" * 64, detail="d" * 120
    )
    for code in codes("uk"):
        news = News(begun=(replace(long, code=code),) * MOST)
        assert len("".join(telling.message(news, "uk"))) < 2000


@languages
def test_the_trial_says_that_nothing_is_wrong(language):
    title, text = telling.trial_message(language)
    assert "orderbridge" in title
    assert "notify test" in text
