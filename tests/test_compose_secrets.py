"""Which secrets Compose hands to whom, and that the documented command makes them all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from test_compose import APPS, COMPOSE, ROOT, SERVICES, WORKERS
from test_references import SECRETS

from run.programs import LANES

# Which secrets each service is handed: no other, and none in clear.
HANDED = {
    "migrate": {"database_owner"},
    **{f"worker-{lane}": {f"redis_{lane}", "database_app", "secret_key"} for lane in LANES},
    "beat": {"redis_beat"},
    "gateway": {"redis_gateway", "database_app", "api_keys", "hook_secrets"},
    "flower": {"redis_flower", "flower_basic_auth", "flower_cookie_secret"},
    "front": set(),
    "redis": {"users.acl"},
    "postgres": {"postgres_password", "postgres_app_password"},
}

services = pytest.mark.parametrize("name", sorted(SERVICES))


@services
def test_each_service_is_handed_the_secrets_it_needs_and_no_other(name):
    assert set(SERVICES[name].get("secrets", [])) == HANDED[name]


@services
def test_every_secret_that_is_read_from_a_file_is_handed_and_the_other_way_round(name):
    environment = SERVICES[name].get("environment", {})
    named = {Path(v).name for k, v in environment.items() if k.endswith("_FILE") and v}
    in_command = {"users.acl"} if name == "redis" else set()
    assert named | in_command == HANDED[name]


@services
def test_no_secret_stands_in_clear_in_an_environment(name):
    given = set(SERVICES[name].get("environment", {}))
    assert not given & {*SECRETS, "POSTGRES_PASSWORD", "REDIS_PASSWORD"}


@services
def test_the_secrets_of_remote_systems_go_to_those_that_call_them(name):
    volumes = SERVICES[name].get("volumes", [])
    mounted = {v.split(":")[0] for v in volumes if v.startswith("./secrets")}
    both = {"./secrets/remotes", "./secrets/hooks"}
    of_one = {"gateway": {"./secrets/hooks"}, "worker-fetch": {*both, "./secrets/notify"}}
    assert mounted == of_one.get(name, both if name in WORKERS else set())
    if name in APPS:
        calls = SERVICES[name]["environment"]["ORDERBRIDGE_CALLS_REMOTES"]
        assert calls == ("1" if name in WORKERS else "0")


def made(folder):
    """What the documented command leaves in a folder, by name."""
    subprocess.run(["sh", "deploy/secrets.sh", str(folder)], cwd=ROOT, check=True)
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_every_secret_is_made_by_the_command_that_is_documented(tmp_path):
    texts = made(tmp_path)
    for name, said in COMPOSE["secrets"].items():
        assert said == {"file": f"./secrets/{name}"}
    assert {*COMPOSE["secrets"], "redis_admin"} == set(texts)
    assert set.union(*HANDED.values()) == set(COMPOSE["secrets"])
    values = [text for name, text in texts.items() if name != "users.acl"]
    assert len(set(values)) == len(values), "two are alike"
    # No password of Redis stands in what Redis is handed.
    passwords = [re.search(r":([0-9a-f]{48})@redis", text) for text in values]
    assert not any(found[1] in texts["users.acl"] for found in passwords if found)


def test_the_folder_of_secrets_is_closed_to_others_and_never_committed(tmp_path):
    tmp_path.chmod(0o755)
    made(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_command_keeps_what_is_there_and_makes_anew_what_was_removed(tmp_path):
    first = made(tmp_path)
    assert made(tmp_path) == first
    (tmp_path / "redis_flower").unlink()
    second = made(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"redis_flower", "users.acl"}
    changed = set(first["users.acl"].splitlines()) ^ set(second["users.acl"].splitlines())
    assert {line.split()[1] for line in changed} == {"flower"}


@services
def test_the_addresses_of_who_is_told_go_to_the_one_that_tells(name):
    environment = set(SERVICES[name].get("environment", {}))
    told = {"ORDERBRIDGE_NOTIFY_FILE", "ORDERBRIDGE_HEARTBEAT_URL_FILE"}
    assert environment & told == (told if name == "worker-fetch" else set())
