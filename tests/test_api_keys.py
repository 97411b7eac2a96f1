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


def test_a_key_may_be_narrowed_to_tenants_whatever_the_case_of_their_names():
    all_of_them, one = api_keys.listed(
        f"a:{KEY},b:{OTHER}:orders:write+tenant=Zegoal+tenant=x.y-1_"
    )
    assert all_of_them.tenants is None
    assert all_of_them.is_for_tenant("anyone")
    assert (one.scopes, one.connections, one.tenants) == (
        {"orders:write"},
        None,
        {"Zegoal", "x.y-1_"},
    )
    for name, good in [("zegoal", True), ("ZEGOAL", True), ("zego", False), ("zegoal-", False)]:
        assert one.is_for_tenant(name) is good


def test_a_file_of_before_grants_nothing_new(tmp_path):
    row = {"name": "a", "sha256": "0" * 64, "connections": None}
    before = ["orders:read", "updates:read", "updates:write"]
    rows = [row | {"scopes": before}, row | {"name": "b", "sha256": "1" * 64, "scopes": []}]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": rows}))
    named, without = api_keys.kept(tmp_path / "keys.json")
    assert (named.scopes, named.tenants) == ({*before}, None)
    assert (without.scopes, without.tenants) == (EVERYTHING, None)
    (tmp_path / "keys.json").write_text(api_keys.as_file([named, without]))
    assert api_keys.kept(tmp_path / "keys.json") == (named, without)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"a:{KEY}:tenant=", "name of a tenant"),
        (f"a:{KEY}:tenant=a b", "name of a tenant"),
        (f"a:{KEY}:tenant=тенант", "name of a tenant"),
        (f"a:{KEY}:tenant={'t' * 41}", "name of a tenant"),
        (f"a:{KEY}:tenants=x", "no such scope"),
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
    st.lists(st.sampled_from(["Zegoal", "x.y-1_", "a"]), unique=True),
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
