"""An order whose every text is an attack is read as text, or held with a word; its ids are ids."""

from __future__ import annotations

import unicodedata

import pytest
from profiles import joined

from mapping.fields import FORBIDDEN, order_key
from mapping.source import storable
from simulator.hostile import SHOWN
from simulator.samples import reference_order

# Read as numbers, times and yes or no; what is no such thing holds the order before its texts count.
OUGHT = (
    "created_at",
    "updated_at",
    "id",
    "total",
    "quantity",
    "price",
    "cost",
    "amount",
    "paid",
    "is_other",
)
PROFILE = joined(parameters={"workflow_id": "3", "status_id": "17", "source_id": ""})
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def spoilt(value, text, key=""):
    if isinstance(value, dict):
        return {name: spoilt(inner, text, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [spoilt(inner, text, key) for inner in value]
    if key in OUGHT or value is None:
        return value
    return f"{value} {text}" if key not in ("phone", "email") else value


def texts_of(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts_of(name)
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
    elif isinstance(value, str):
        yield value


def unseen(text):
    return {c for c in text if unicodedata.category(c) in UNSEEN and c not in "\n\t"}


@pytest.mark.parametrize("trick", SHOWN)
def test_a_composed_body_carries_text_alone(trick):
    mapped = PROFILE.map(spoilt(reference_order(), SHOWN[trick]))
    said = [*texts_of(mapped.draft), *texts_of([p.to_dict() for p in mapped.problems])]
    assert said
    assert {c for text in said for c in unseen(text)} <= (
        {"\r"} if "\r\n" in SHOWN[trick] else set()
    )
    if FORBIDDEN.search(SHOWN[trick]):
        assert {p.code for p in mapped.problems} >= {"control_characters"}


# The name of an emoji is none where nothing takes it for one (cli/console.py).
@pytest.mark.parametrize("trick", sorted(SHOWN.keys() - {"an emoji"}))
def test_what_is_more_than_text_is_no_id(trick):
    for value in (SHOWN[trick], f"1{SHOWN[trick]}2"):
        assert order_key(value) is None


@pytest.mark.parametrize(
    "text", ["300167757", "ok-12_3.4", "Ж-17/2", "№ 5 (2)", "T:1#2+3@4=5*6~7,8", "1" * 64]
)
def test_ids_as_shops_write_them_stay(text):
    assert order_key(text) == text


@pytest.mark.parametrize("trick", SHOWN)
def test_what_a_target_says_is_text_alone(trick):
    said = storable({SHOWN[trick]: SHOWN[trick], "number": 5})
    assert all(unseen(text) <= {"\r"} for text in texts_of(said))


@pytest.mark.parametrize(
    "text",
    [
        "Ґудзик «їжак» — ’єдиний’, 5 ₴",
        "м. Київ\nвул. Хрещатик, 1\tкв. 5",
        "перший\r\nдругий",
        "☎️ дзвоніть",
    ],
)
def test_what_people_type_stays_as_it_is(text):
    assert storable({"a": text}) == {"a": text}
