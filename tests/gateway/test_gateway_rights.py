"""What each key may do and see: its scopes, its connections, and what it wrote itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from gateway_calls import GOOD, KEY, OTHER_KEY, SECRET, UPDATES, bearer
from structlog.testing import capture_logs

import api_keys
from connections_file import SettingsError
from connectors.ports import Connector
from gateway import server
from gateway.tries import FREE
from gateway.wsgi import KEEP_BACK
from ledger import enqueueing, updates
from ledger.enqueueing import Asked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDER = f"/api/v1/orders/{GOOD['order_id']}"
READ_ALL = "r" * 24
# An update that nobody wrote: 404 for who may read updates, 401 for who may not come in.
UNKNOWN = f"{UPDATES}/4711"


@pytest.fixture
def made(gateway):
    """A gateway with a key for each scope, over an update of another shop."""
    keys = {
        "writer": f"{KEY}:updates:write",
        "other": f"{OTHER_KEY}:updates:write+orders:read",
        "reader": f"{READ_ALL}:updates:read",
        "orders": f"{'d' * 24}:orders:read",
        "south": f"{'s' * 24}:@south",
        "north": f"{'n' * 24}:@okliving",
    }
    listed = ",".join(f"{name}:{key}" for name, key in keys.items())
    built = gateway(ORDERBRIDGE_API_KEYS=listed)
    built.bearer = {name: bearer(key.partition(":")[0]) for name, key in keys.items()}
    return built


def statuses(made, name, *, update_id=1):
    headers = made.bearer[name]
    return [
        made.client.post(UPDATES, json=GOOD, headers=headers).status_code,
        made.client.get(f"{UPDATES}/{update_id}", headers=headers).status_code,
        made.client.get(ORDER, headers=headers).status_code,
    ]


def test_each_scope_opens_its_own_and_nothing_else(made):
    sent = made.client.post(UPDATES, json=GOOD, headers=made.bearer["writer"])
    number = sent.json["id"]

    assert statuses(made, "writer", update_id=number) == [202, 200, 403]
    assert statuses(made, "reader", update_id=number) == [403, 200, 403]
    assert statuses(made, "orders", update_id=number) == [403, 403, 404]
    assert statuses(made, "other", update_id=number) == [202, 404, 200]


def test_an_update_that_a_key_may_not_read_is_not_there_for_it(made):
    number = made.client.post(UPDATES, json=GOOD, headers=made.bearer["writer"]).json["id"]

    hidden = made.client.get(f"{UPDATES}/{number}", headers=made.bearer["other"])
    absent = made.client.get(f"{UPDATES}/99{number}", headers=made.bearer["other"])

    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.json["error"].replace(number, "N") == absent.json["error"].replace(
        f"99{number}", "N"
    )


def test_an_order_shows_the_updates_that_its_reader_may_read(made):
    mine = made.client.post(UPDATES, json=GOOD, headers=made.bearer["other"]).json["id"]
    made.client.post(UPDATES, json=GOOD, headers=made.bearer["writer"])

    shown = made.client.get(ORDER, headers=made.bearer["other"]).json

    assert [str(row["id"]) for row in shown["updates"]] == [mine]


def test_a_key_is_for_its_connections_alone(made):
    theirs = Asked("okliving", GOOD["order_id"], "d", "http:south", {"note": "theirs"})
    row = enqueueing.accept(made.ledger, theirs, NOW)
    headers = made.bearer["south"]

    named = made.client.post(UPDATES, json=GOOD | {"connection": "okliving"}, headers=headers)
    meant = made.client.post(UPDATES, json=GOOD, headers=headers)
    asked = made.client.get(f"{ORDER}?connection=okliving", headers=headers)

    assert (named.status_code, asked.status_code) == (403, 403)
    # It means its own, which this gateway does not have, and never another's.
    assert (meant.status_code, list(meant.json["errors"])) == (422, ["connection"])
    assert made.client.get(f"{UPDATES}/{row.id}", headers=headers).status_code == 404
    assert made.client.get(ORDER, headers=headers).status_code == 404
    assert statuses(made, "north", update_id=row.id) == [202, 200, 200]


@pytest.fixture
def tenants(gateway):
    """Orders and updates of two tenants, and of a shop; keys that are for one of the tenants."""
    keys = {
        "own": f"{KEY}:tenant=ZEGOAL",
        "other": f"{OTHER_KEY}:tenant=other",
        "nowhere": f"{'w' * 24}:tenant=Zegoal+@okliving",
        "all": READ_ALL,
    }
    listed = ",".join(f"{name}:{key}" for name, key in keys.items())
    built = gateway(ORDERBRIDGE_API_KEYS=listed)
    built.bearer = {name: bearer(key.partition(":")[0]) for name, key in keys.items()}
    feedback = built.resources.sources["okliving"].connector.feedback
    connector = Connector(client=None, has_tenants=True, feedback=feedback)
    built.resources.sources["createorder"] = SimpleNamespace(connector=connector)
    built.resources.settings.connections["createorder"] = replace(
        built.resources.settings.connections["okliving"], name="createorder", kind="createorder"
    )
    for connection, order_id in [
        ("createorder", "Zegoal-5"),
        ("createorder", "Zegoal-x-5"),
        ("createorder", "Zegoal-"),
        ("createorder", "Zegoal-٥"),
        ("createorder", "other-5"),
        ("okliving", "Zegoal-5"),
        ("okliving", "300167757"),
    ]:
        enqueueing.accept(
            built.ledger, Asked(connection, order_id, "d", "http:x", {"note": "n"}), NOW
        )
    return built


IDS = ["Zegoal-5", "Zegoal-x-5", "Zegoal-", "Zegoal-٥", "other-5", "300167757"]


@pytest.mark.parametrize(
    ("name", "seen"),
    [("own", ["Zegoal-5"]), ("other", ["other-5"]), ("nowhere", []), ("all", IDS)],
)
def test_a_key_of_a_tenant_knows_its_orders_and_no_others(tenants, name, seen):
    headers = tenants.bearer[name]
    found = {
        order_id: tenants.client.get(f"/api/v1/orders/{order_id}", headers=headers)
        for order_id in IDS
    }
    assert [order_id for order_id, answer in found.items() if answer.status_code != 404] == seen
    if name == "own":
        assert found["Zegoal-5"].json["connection"] == "createorder"
        assert len(found["Zegoal-5"].json["updates"]) == 1
        named = tenants.client.get("/api/v1/orders/Zegoal-5?connection=okliving", headers=headers)
        assert named.status_code == 404


@pytest.mark.parametrize(
    ("name", "seen"), [("own", [1]), ("other", [5]), ("nowhere", []), ("all", [*range(1, 8)])]
)
def test_a_key_of_a_tenant_reads_the_updates_of_its_orders_alone(tenants, name, seen):
    answers = {
        number: tenants.client.get(f"{UPDATES}/{number}", headers=tenants.bearer[name]).status_code
        for number in range(1, 8)
    }
    assert [number for number, status in answers.items() if status == 200] == seen


@pytest.mark.parametrize(
    ("order", "connection", "status"),
    [
        ("Zegoal-5", None, 202),
        ("zegoal-77", "createorder", 202),
        (" Zegoal-5 ", None, 202),
        ("Zegoal-5", "okliving", 404),
        ("other-5", None, 404),
        ("other-5", "createorder", 404),
        ("300167757", "okliving", 404),
    ],
)
def test_a_key_of_a_tenant_asks_updates_of_its_orders_alone(tenants, order, connection, status):
    body = GOOD | {"order_id": order} | ({"connection": connection} if connection else {})
    before = len(updates.listing(tenants.ledger))
    answer = tenants.client.post(UPDATES, json=body, headers=tenants.bearer["own"])
    assert answer.status_code == status
    assert len(updates.listing(tenants.ledger)) - before == (status == 202)


def test_a_key_of_a_tenant_without_a_connection_of_its_own_asks_nothing(tenants):
    answer = tenants.client.post(UPDATES, json=GOOD, headers=tenants.bearer["nowhere"])
    assert answer.status_code == 403


@pytest.mark.parametrize("connection", [["okliving"], {}, 7, None])
def test_a_connection_that_is_no_name_is_refused_by_its_field(made, connection):
    body = GOOD | {"connection": connection}
    answer = made.client.post(UPDATES, json=body, headers=made.bearer["north"])
    assert answer.status_code == 422


def test_keys_of_the_file_count_as_soon_as_it_is_written_and_no_longer_than_it_says(made):
    file = made.resources.settings.key_file
    secret, key = api_keys.made("new", ["updates:read"], [])
    headers = bearer(secret)
    assert made.client.get(UNKNOWN, headers=headers).status_code == 401

    file.parent.mkdir(exist_ok=True)
    file.write_text(api_keys.as_file([key]))
    assert made.client.get(UNKNOWN, headers=headers).status_code == 404
    assert made.client.post(UPDATES, json=GOOD, headers=headers).status_code == 403

    file.write_text("{ half")
    with capture_logs() as lines:
        assert made.client.get(UNKNOWN, headers=headers).status_code == 404
    assert "key_file_refused" in [line["event"] for line in lines]

    file.write_text(api_keys.as_file([]))
    assert made.client.get(UNKNOWN, headers=headers).status_code == 401
    assert made.client.get(UNKNOWN, headers=made.bearer["reader"]).status_code == 404


def test_a_sandbox_wants_keys_as_soon_as_there_is_one(gateway):
    made = gateway()
    assert made.client.get(UNKNOWN).status_code == 404
    secret, key = api_keys.made("erp", [], [])
    file = made.resources.settings.key_file
    file.parent.mkdir(exist_ok=True)
    file.write_text(api_keys.as_file([key]))
    assert made.client.get(UNKNOWN).status_code == 401
    assert made.client.get(UNKNOWN, headers=bearer(secret)).status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Anything",
        "X-Real-IP",
        "Via",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", UPDATES),
        ("GET", "/api/docs"),
        ("GET", "/metrics"),
        ("POST", f"/hooks/onebox/{SECRET}"),
    ],
)
def test_a_sandbox_without_keys_takes_nothing_through_a_proxy(gateway, name, method, path):
    made = gateway(ONEBOX_HOOK_SECRETS=SECRET)
    answer = made.client.open(path, method=method, json=GOOD, headers={name: ""})
    assert answer.status_code == 403
    assert "orderbridge key new" in answer.json["error"]


def test_with_keys_a_proxy_may_stand_in_front(made):
    forwarded = made.bearer["writer"] | {"X-Forwarded-For": "203.0.113.5"}
    assert made.client.post(UPDATES, json=GOOD, headers=forwarded).status_code == 202


# --- wrong keys -----------------------------------------------------------------------------------------


@pytest.fixture
def kept_back(made):
    """The seconds for which each answer is kept back."""
    seconds, inner = [], made.app.wsgi_app

    def watched(environ, start_response):
        told = inner(environ, start_response)
        seconds.append(environ.get(KEEP_BACK, 0.0))
        return told

    made.app.wsgi_app = watched
    return seconds


def tried(made, headers, address, count):
    """The last answer of so many."""
    environ = {"REMOTE_ADDR": address}
    for _ in range(count):
        answer = made.client.get(UNKNOWN, headers=headers, environ_overrides=environ)
    return answer.status_code


def test_wrong_keys_are_counted_by_address_slowed_and_logged(made, kept_back):
    with capture_logs() as lines:
        wrong = tried(made, bearer("wrong"), "203.0.113.5", FREE + 80)
        seconds = kept_back[:]
        kept_back.clear()
        others = tried(made, bearer("wrong"), "203.0.113.6", 1)
        good = tried(made, made.bearer["reader"], "203.0.113.5", 1)
        none = tried(made, {}, "203.0.113.7", FREE + 2)

    assert (wrong, others, good, none) == (401, 401, 404, 401)
    assert seconds[:FREE] == [0.0] * FREE
    assert seconds[FREE:] == sorted(seconds[FREE:])
    assert (seconds[FREE], seconds[-1]) == (0.1, 5.0)
    assert set(kept_back) == {0.0}
    told = [line for line in lines if line["event"].startswith("wrong_key")]
    assert [line["event"] for line in told] == [
        *["wrong_key"] * FREE,
        "wrong_keys_slowed",
        "wrong_key",
    ]
    assert {line["address"] for line in told} == {"203.0.113.5", "203.0.113.6"}
    assert "Bearer" not in repr(lines)


def test_wrong_secrets_of_the_hook_count_too_and_look_like_any_unknown_address(made, kept_back):
    answers = [made.client.post("/hooks/onebox/guess", data={"a": "b"}) for _ in range(FREE + 1)]

    assert {answer.status_code for answer in answers} == {404}
    assert kept_back == [0.0] * FREE + [0.1]


# --- the start ------------------------------------------------------------------------------------------


def served(monkeypatch, chosen, host="127.0.0.1"):
    """Whether the gateway of these settings comes to listen."""
    began = []

    def run(coroutine):
        coroutine.close()
        began.append(True)

    monkeypatch.setattr(server, "check_routes", lambda *_: None)
    monkeypatch.setattr(server, "build", lambda _: None)
    monkeypatch.setattr(server, "create_app", lambda _: SimpleNamespace(config={"LARGEST": None}))
    monkeypatch.setattr(server.asyncio, "run", run)
    server.serve(chosen, host, 8000)
    return bool(began)


@pytest.mark.parametrize(
    ("host", "keys"),
    [("127.0.0.1", ""), ("localhost", ""), ("::1", ""), ("0.0.0.0", f"a:{KEY}")],
)
def test_loopback_or_keys_are_served(monkeypatch, read_settings, host, keys):
    assert served(monkeypatch, read_settings(ORDERBRIDGE_API_KEYS=keys), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com"])
def test_open_address_without_keys_is_refused(monkeypatch, read_settings, host):
    with pytest.raises(SettingsError, match="ORDERBRIDGE_API_KEYS"):
        served(monkeypatch, read_settings(), host)


def test_real_systems_without_keys_are_not_served(monkeypatch, read_settings):
    real = {"ORDERBRIDGE_SANDBOX": "0"}
    with pytest.raises(SettingsError, match="orderbridge key new") as refused:
        served(monkeypatch, read_settings(**real))
    assert "\n" not in str(refused.value)
    assert served(monkeypatch, read_settings(**real, ORDERBRIDGE_API_KEYS=f"a:{KEY}"))

    chosen = read_settings(**real)
    _, key = api_keys.made("erp", [], [])
    chosen.key_file.write_text(api_keys.as_file([key]))
    assert served(monkeypatch, chosen)


def test_a_key_for_a_connection_that_there_is_not_stops_the_start(monkeypatch, read_settings):
    chosen = read_settings(ORDERBRIDGE_API_KEYS=f"a:{KEY}:@oklivin")
    with pytest.raises(SettingsError, match="Did you mean okliving"):
        served(monkeypatch, chosen)


def test_a_name_in_the_file_and_in_the_variable_stops_the_start(monkeypatch, read_settings):
    chosen = read_settings(ORDERBRIDGE_API_KEYS=f"a:{KEY}")
    _, key = api_keys.made("a", [], [])
    chosen.key_file.parent.mkdir(exist_ok=True)
    chosen.key_file.write_text(json.dumps(json.loads(api_keys.as_file([key]))))
    with pytest.raises(SettingsError, match="called 'a'"):
        served(monkeypatch, chosen)
