"""Keys of the gateway: what may be one, what each may do, and that no secret is kept or shown."""

from __future__ import annotations

import json
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

import api_keys
from api_keys import EVERYTHING, RESERVED, SCOPES, SHORTEST, digest_of
from connections_file import SettingsError

KEY = "0123456789abcdefghijklmn"
OTHER = KEY[::-1]


def test_a_key_may_do_all_unless_it_is_narrowed():
    one, two, three, four = api_keys.listed(
        f"a:{KEY}, b:{KEY}b:updates:write,c:{KEY}c:updates:read+orders:read+@north+@south,"
        f"d:{KEY}d:@north,"
    )
    assert (one.name, one.digest, one.scopes, one.connections) == (
        "a",
        digest_of(KEY),
        EVERYTHING,
        None,
    )
    assert (two.scopes, two.connections) == ({"updates:write"}, None)
    assert (three.scopes, three.connections) == (
        {"updates:read", "orders:read"},
        {"north", "south"},
    )
    assert (four.scopes, four.connections) == (EVERYTHING, {"north"})
    assert (four.is_for("north"), four.is_for("east"), one.is_for("east")) == (True, False, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key-without-a-name", "name:key"),
        ("name:", "name:key"),
        (f":{KEY}", "name:key"),
        (f"a:{KEY[:-1]}", "at least 24"),
        (f"a:{KEY[:-1]} ", "at least 24"),
        (f"a:{KEY} x", "at least 24"),
        (f"a:{KEY}=x", "at least 24"),
        (f"a:{KEY}ключ", "at least 24"),
        (f"a:{KEY}:update:write", "Did you mean updates:write"),
        (f"a:{KEY}:", "no such scope"),
        (f"a:{KEY}:updates:write+", "no such scope"),
        (f"a:{KEY}:@", "name of a connection"),
        (f"a:{KEY},a:{OTHER}", "Two API keys are called 'a'"),
        (f"a:{KEY},b:{KEY}", "one and the same"),
        (f"a:{KEY},b:sha256={digest_of(KEY).hex()}", "one and the same"),
        ("a:sha256=abc", "64 hexadecimal"),
        (f"a b:{KEY}", "letters, digits"),
        (f"{'n' * 59}:{KEY}", "1 to 58"),
        (f"ім'я:{KEY}", "letters, digits"),
        *((f"{name}:{KEY}", "another door") for name in sorted(RESERVED)),
        (f"OneBox:{KEY}", "another door"),
    ],
)
def test_what_is_no_key_is_refused_in_a_sentence_without_it(text, said):
    with pytest.raises(SettingsError, match=said) as refused:
        api_keys.listed(text)
    told = str(refused.value)
    assert KEY[:-1] not in told
    assert "\n" not in told


def test_a_pair_that_was_written_the_wrong_way_round_is_not_shown():
    with pytest.raises(SettingsError, match="pair 2") as refused:
        api_keys.listed(f"a:{OTHER},{KEY}:erp")
    assert KEY not in str(refused.value)


NAMES = st.text(ascii_letters + digits, min_size=1, max_size=20).filter(
    lambda name: name.lower() not in RESERVED
)
KEYS = st.tuples(
    NAMES,
    st.lists(st.sampled_from(SCOPES), unique=True),
    st.lists(st.sampled_from(["north", "south-2"]), unique=True),
)


@given(st.lists(KEYS, unique_by=lambda key: key[0], max_size=4))
def test_a_made_key_is_the_same_in_the_file_and_in_the_variable(tmp_path_factory, wanted):
    made = [api_keys.made(*one) for one in wanted]
    keys = tuple(key for _, key in made)
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_text(api_keys.as_file(keys))
    assert api_keys.kept(path) == keys
    variable = ",".join(api_keys.as_variable(key) for key in keys)
    assert api_keys.listed(variable) == keys
    for secret, key in made:
        assert len(secret) >= SHORTEST
        (listed,) = api_keys.listed(f"x:{secret}")
        assert listed.digest == key.digest
        assert secret not in path.read_text() + variable + repr(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": [{}]}',
        '{"keys": [{"name": 1, "sha256": "00", "scopes": [], "connections": null}]}',
        '{"keys": [{"name": "a", "sha256": "xx", "scopes": [], "connections": null}]}',
        '{"keys": [{"name": "a", "sha256": "00", "scopes": [], "connections": null}]}',
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(tmp_path, text):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(SettingsError, match=r"keys\.json"):
        api_keys.kept(tmp_path / "keys.json")


def test_a_file_that_cannot_be_read_is_refused_and_none_has_no_keys(tmp_path):
    assert api_keys.kept(tmp_path / "keys.json") == ()
    with pytest.raises(SettingsError, match="cannot be read"):
        api_keys.kept(tmp_path)


def test_a_file_may_not_grant_what_there_is_not(tmp_path):
    row = {"name": "a", "sha256": "0" * 64, "scopes": ["all"], "connections": None}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [row]}))
    with pytest.raises(SettingsError, match="no such scope"):
        api_keys.kept(tmp_path / "keys.json")
