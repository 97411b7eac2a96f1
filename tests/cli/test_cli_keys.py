"""`orderbridge key`: a key is shown once, its digest is kept and nothing else; a removed one is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import api_keys

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(folder):
    return folder / "sandbox" / api_keys.FILE


def test_a_key_is_printed_once_and_its_digest_is_kept_for_its_owner_alone(run, file):
    code, out, err = run("key", "new", "erp", "--scope", "updates:write", "--json")
    told = json.loads(out)
    (key,) = api_keys.kept(file)

    assert (code, err) == (0, "")
    assert (key.name, key.scopes, key.connections) == ("erp", {"updates:write"}, None)
    assert key.digest == api_keys.digest_of(told["key"])
    assert api_keys.listed(told["variable"]) == (key,)
    assert file.stat().st_mode & 0o777 == 0o600
    assert told["key"] not in file.read_text()


def test_a_key_without_scopes_may_do_all_and_the_sentence_shows_it(run, file):
    code, out, _ = run("key", "new", "erp")
    (key,) = api_keys.kept(file)

    assert (code, key.scopes) == (0, api_keys.EVERYTHING)
    assert api_keys.digest_of(out.split()[0]) == key.digest


def test_a_key_for_tenants_says_so_in_the_file_in_the_line_and_in_the_list(run, file):
    code, out, _ = run(
        *("key", "new", "shop", "--scope", "orders:write", "--tenant", "Zegoal", "--json")
    )
    told = json.loads(out)
    (key,) = api_keys.kept(file)
    assert (code, key.scopes, key.tenants) == (0, {"orders:write"}, {"Zegoal"})
    assert told["tenants"] == ["Zegoal"]
    assert told["variable"].endswith(":orders:write+tenant=Zegoal")
    assert api_keys.listed(told["variable"]) == (key,)
    _, listed, _ = run("key", "list")
    assert "Zegoal" in listed
    assert json.loads(run("key", "list", "--json")[1])[0]["tenants"] == ["Zegoal"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["erp", "--tenant", "a b"], "name of a tenant"),
        (["onebox"], "another door"),
        (["a b"], "letters, digits"),
        (["erp", "--scope", "update:write"], "Did you mean updates:write"),
        (["erp", "--connection", "south"], "no connection called 'south'"),
    ],
)
def test_what_is_no_key_is_refused_in_a_sentence(run, file, arguments, said):
    code, out, err = run("key", "new", *arguments)

    assert (code, out) == (2, "")
    assert said in err
    assert not file.exists()


def test_a_name_is_given_once(run, file, monkeypatch):
    monkeypatch.setenv("ORDERBRIDGE_API_KEYS", f"listed:{'k' * 24}")
    assert run("key", "new", "erp")[0] == 0
    before = file.read_text()
    for name in ("erp", "listed"):
        code, _, err = run("key", "new", name)
        assert (code, "called" in err) == (2, True)
    assert file.read_text() == before


def test_keys_that_are_made_at_once_are_all_kept(folder, file):
    def make(number):
        subprocess.run(
            [sys.executable, "-m", "cli", "key", "new", f"n{number}"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "ORDERBRIDGE_DOTENV": os.devnull,
                "ORDERBRIDGE_DATA": str(folder),
            },
            capture_output=True,
            check=True,
        )

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(make, range(3)))
    assert sorted(key.name for key in api_keys.kept(file)) == ["n0", "n1", "n2"]


def test_the_list_says_what_each_key_may_and_shows_no_secret(run, monkeypatch):
    monkeypatch.setenv("ORDERBRIDGE_API_KEYS", f"listed:{'k' * 24}:updates:read")
    _, out, _ = run("key", "new", "erp", "--scope", "updates:write", "--json")
    secret = json.loads(out)["key"]

    _, machine, _ = run("key", "list", "--json")
    code, person, err = run("key", "list")

    assert (code, err) == (0, "")
    assert [(key["name"], key["place"]) for key in json.loads(machine)] == [
        ("listed", "environment"),
        ("erp", "file"),
    ]
    assert json.loads(machine)[1]["scopes"] == ["updates:write"]
    for text in (machine, person):
        assert secret not in text
        assert "k" * 24 not in text
        assert "erp" in text


def test_without_keys_the_list_says_how_one_is_made(run):
    code, out, _ = run("key", "list")
    assert (code, "orderbridge key new" in out) == (0, True)


def test_a_key_that_is_removed_is_gone_and_the_others_stay(run, file):
    for name in ("erp", "desk"):
        run("key", "new", name)
    code, out, _ = run("key", "remove", "erp")

    assert (code, "erp" in out) == (0, True)
    assert [key.name for key in api_keys.kept(file)] == ["desk"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("key", "remove", "erp")[0] == 3


def test_a_key_of_the_environment_is_removed_there(run, monkeypatch):
    monkeypatch.setenv("ORDERBRIDGE_API_KEYS", f"listed:{'k' * 24}")
    code, _, err = run("key", "remove", "listed")
    assert (code, "ORDERBRIDGE_API_KEYS" in err) == (2, True)
