"""The front shows the world the public routes alone, and keeps nothing of a request in its log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text()
PUBLIC = re.search(r"^\{\$ORDERBRIDGE_DOMAIN\} \{$(.*?)^\}$", CADDYFILE, re.MULTILINE | re.DOTALL)[
    1
]
# What is for this machine and for people who sit at it. A new address is public, or it is named here.
INSIDE = {
    "/",
    "/metrics",
    "/healthz",
    "/readyz",
    "/api/docs",
    "/api/openapi.json",
    "/CreateOrder/docs",
}


def shown():
    """(method, pattern of a path) of each matcher whose requests are handed to the gateway."""
    handed = re.findall(r"handle @(\w+) \{\s*import gateway\s*\}", PUBLIC)
    matchers = re.findall(r"@(\w+) \{\s*method ([A-Z ]+)\n\s*path ([^\n]+)\n\s*\}", PUBLIC)
    assert sorted(handed) == sorted(name for name, _, _ in matchers)
    for _, methods, paths in matchers:
        for path in paths.split():
            for method in methods.split():
                yield method, re.compile(re.escape(path).replace(r"\*", ".*"))


SHOWN = list(shown())


def is_shown(method, path):
    return any(one == method and pattern.fullmatch(path) for one, pattern in SHOWN)


def test_every_route_of_the_gateway_is_public_or_said_to_be_inside(gateway):
    rules = list(gateway().app.url_map.iter_rules())
    assert {rule.rule for rule in rules} >= INSIDE
    for rule in rules:
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for method in rule.methods - {"OPTIONS"}:
            assert is_shown(method, path) == (rule.rule not in INSIDE), f"{method} {rule.rule}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api/v1/updates"),
        ("DELETE", "/api/v1/orders/1"),
        ("PUT", "/api/v1/updates/1"),
        ("GET", "/hooks/onebox/secret"),
        ("POST", "/api/v1/orders/1"),
        ("POST", "/api/v1/updates/1"),
    ],
)
def test_what_is_no_public_route_is_not_shown(method, path):
    assert not is_shown(method, path)


@pytest.mark.parametrize(
    "path", ["/metrics/../api/v1/orders/1", "/API/V1/orders/1", "/api/v1/orders/1/../../../metrics"]
)
def test_an_address_that_caddy_reads_otherwise_opens_nothing_inside(gateway, path):
    """Caddy compares a tidied path without regard to case, and hands on the path as it was sent."""
    answer = gateway().client.get(path)
    assert answer.status_code == 404


def test_a_whole_body_is_taken_before_the_gateway_hears_of_it_and_none_is_endless():
    snippet = re.search(r"^\(gateway\) \{$(.*?)^\}$", CADDYFILE, re.MULTILINE | re.DOTALL)[1]
    assert "request_buffers 3MiB" in snippet
    assert "max_size 3MB" in snippet
    for limit in ("read_header", "read_body", "write", "idle"):
        assert re.search(rf"{limit} \d+s", CADDYFILE)


def test_no_request_stands_in_a_log_and_nothing_can_be_changed_from_outside():
    """Its address may hold the hook's secret, its headers a key."""
    assert re.search(r"fields \{\s*request delete\s*\}", CADDYFILE)
    assert "log" not in PUBLIC
    assert "admin off" in CADDYFILE


def test_caddy_takes_the_file(tmp_path):
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed here")
    told = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(n) for n in re.findall(r"\d+", told)[:3])
    if version < (2, 6, 3):
        pytest.skip("this caddy is older than the image's and does not know request_buffers")
    done = subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", "deploy/Caddyfile"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ORDERBRIDGE_DOMAIN": "x.example"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
