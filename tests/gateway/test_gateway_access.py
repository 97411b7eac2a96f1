"""Who comes in: keys, callers on this machine, the rate; and what every answer carries."""

from __future__ import annotations

import re

import pytest
from gateway_calls import GOOD, KEY, OTHER_KEY, SECRET, UPDATES, bearer
from structlog.testing import capture_logs

from connections_file import SettingsError
from ledger import updates

GATED = [
    ("POST", UPDATES),
    ("GET", f"{UPDATES}/1"),
    ("GET", "/api/v1/orders/1"),
]


@pytest.mark.parametrize(("method", "path"), GATED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer(""),
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer ключ".encode().decode("latin-1")},
    ],
)
def test_missing_or_wrong_key_is_refused(gateway, method, path, headers):
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}")
    answer = made.client.open(path, method=method, headers=headers, json=GOOD)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert updates.listing(made.ledger) == []


@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
def test_any_of_the_keys_opens(keyed, key):
    assert keyed.client.post(UPDATES, json=GOOD, headers=bearer(key)).status_code == 202


@pytest.mark.parametrize("headers", [{}, bearer("wrong")])
@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/api/docs", "/api/openapi.json"]
)
def test_pages_health_and_metrics_take_no_key(gateway, path, headers):
    answer = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}").client.get(path, headers=headers)

    assert answer.status_code in {200, 503}
    assert "error" not in (answer.json or {}) if answer.is_json else True


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", "localhost", 202),
        ("127.0.0.1", "127.0.0.1:8000", 202),
        ("::1", "[::1]:8000", 202),
        ("10.0.0.5", "localhost", 403),
        ("10.0.0.5", "10.0.0.5", 403),
        ("127.0.0.1", "evil.example:8000", 403),
    ],
)
def test_without_keys_only_callers_on_this_machine_come_in(gateway, address, host, status):
    answer = gateway().client.post(
        UPDATES, json=GOOD, environ_overrides={"REMOTE_ADDR": address, "HTTP_HOST": host}
    )

    assert answer.status_code == status


def test_rate_is_counted_for_each_key_apart(gateway, monkeypatch):
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY},desk:{OTHER_KEY}", GATEWAY_RATE="3")
    hits = {}

    def hit(item, name):
        hits[name] = hits.get(name, 0) + 1
        return hits[name] <= item.amount

    monkeypatch.setattr("limits.strategies.FixedWindowRateLimiter.hit", lambda _, i, n: hit(i, n))
    mine = [made.client.post(UPDATES, json=GOOD, headers=bearer(KEY)) for _ in range(4)]
    theirs = made.client.post(UPDATES, json=GOOD, headers=bearer(OTHER_KEY))

    assert [answer.status_code for answer in mine] == [202, 202, 202, 429]
    assert mine[-1].headers["Retry-After"] == "1"
    assert theirs.status_code == 202


def test_rate_is_shared_over_redis_and_counted_alone_while_redis_is_away(gateway):
    made = gateway(GATEWAY_RATE="1")
    assert made.client.get("/api/docs").status_code == 200
    assert made.redis.keys("ob:gateway*")

    made.redis_server.connected = False
    statuses = {made.client.get("/api/docs").status_code for _ in range(40)}

    assert 429 in statuses
    assert statuses <= {200, 429}


def test_rate_of_zero_is_no_limit(gateway):
    made = gateway(GATEWAY_RATE="0")

    assert {made.client.get(f"{UPDATES}/1").status_code for _ in range(20)} == {404}
    assert made.redis.keys() == []


# --- what every answer carries --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("a\tb", False)],
)
def test_sane_request_id_is_kept_and_any_other_replaced(keyed, given, kept):
    said = keyed.client.get("/nowhere", headers={"X-Request-Id": given})

    assert (said.headers["X-Request-Id"] == given) is kept
    assert re.fullmatch("[0-9A-Za-z._-]{1,64}", said.headers["X-Request-Id"])
    assert said.json["request_id"] == said.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/hooks/onebox", 404),
        ("GET", UPDATES, 405),
        ("DELETE", f"{UPDATES}/1", 405),
        ("GET", "//api//docs", 404),
    ],
)
def test_unknown_addresses_and_methods_are_answered_in_json(keyed, method, path, status):
    # As it is sent: the client would read what begins with `//` as a host.
    answer = keyed.client.open("/", method=method, environ_overrides={"PATH_INFO": path})

    assert (answer.status_code, set(answer.json)) == (status, {"error", "request_id"})
    assert ("Allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", "/api/docs", f"{UPDATES}/1"])
def test_every_answer_has_security_headers(keyed, path):
    headers = keyed.client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


def test_log_line_has_the_route_and_the_callers_name_but_no_secret_and_no_query(gateway):
    made = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", ONEBOX_HOOK_SECRETS=SECRET)
    with capture_logs() as lines:
        made.client.get("/api/v1/orders/300167757?connection=hidden", headers=bearer(KEY))
        made.client.post(f"/hooks/onebox/{SECRET}?hidden=1", data={"comment": "hidden"})
        made.client.post("/hooks/onebox/hidden-secret", data={"comment": "hidden"})

    told = [(e["route"], e["status"], e["caller"]) for e in lines if e["event"] == "request"]
    assert told == [
        ("/api/v1/orders/{order_id}", 404, "erp"),
        ("/hooks/onebox/{secret}", 200, "onebox-hook"),
        ("/hooks/onebox/{secret}", 404, None),
    ]
    assert not re.search(f"{SECRET}|{KEY}|hidden|300167757", repr(lines))


@pytest.mark.parametrize(
    "environment",
    [
        {"ONEBOX_HOOK_SECRETS": "short"},
        {"ONEBOX_HOOK_SECRETS": f"{SECRET},short"},
        {"ONEBOX_HOOK_SECRETS": "0123456789/012345"},
        {"ONEBOX_HOOK_ADDRESSES": "everywhere"},
        {"ONEBOX_HOOK_ADDRESSES": "10.0.0.1/8"},
        {"GATEWAY_RATE": "-1"},
    ],
)
def test_wrong_setting_is_refused_by_name_without_its_value(read_settings, environment):
    (name,) = environment
    with pytest.raises(SettingsError, match=name) as refused:
        read_settings(**environment)
    assert "short," not in str(refused.value)
