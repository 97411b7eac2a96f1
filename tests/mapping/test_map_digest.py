"""Bodies are told apart by a hash that nothing a profile composes can break."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mapping.digest import body_hash


def test_same_body_has_one_hash_in_whatever_order_its_keys_are():
    assert body_hash({"a": 1, "b": {"c": 2, "d": 3}}) == body_hash({"b": {"d": 3, "c": 2}, "a": 1})
    assert len(body_hash({"a": 1})) == 32


@pytest.mark.parametrize("other", [None, {}, {"a": "1"}, {"a": 2}, {"a": 1, "b": None}, [1]])
def test_other_bodies_have_others(other):
    assert body_hash({"a": 1}) != body_hash(other)


@pytest.mark.parametrize("value", [10**40, "\ud800", Decimal("1.10")])
def test_odd_values_are_hashed_too(value):
    assert body_hash({"a": value}) == body_hash({"a": value}) != body_hash({"a": "x"})
