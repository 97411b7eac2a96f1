"""What differs between two bodies is told field by field, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping.differences import Difference, differences

BODIES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, []),
        ({"a": "1"}, {"a": "2"}, [("a", "1", "2")]),
        ({}, {"ttn": "2045"}, [("ttn", None, "2045")]),
        ({"ttn": "2045"}, {}, [("ttn", "2045", None)]),
        ({"p": [{"n": "a"}]}, {"p": [{"n": "a"}, {"n": "b"}]}, [("p[1].n", None, "b")]),
        ({"c": {"phones": ["1"]}}, {"c": {"phones": ["2"]}}, [("c.phones[0]", "1", "2")]),
        (None, {"a": 1}, [("a", None, "1")]),
    ],
)
def test_what_differs_is_told_by_field(before, after, told):
    assert differences(before, after) == [Difference(*one) for one in told]


@given(BODIES)
def test_a_body_differs_in_nothing_from_itself(body):
    assert differences(body, body) == []
