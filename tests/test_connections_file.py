"""The connections file: every mistake is refused by file, line and key, with what was probably meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import settings
from connection import EVERYTHING
from connections_file import SettingsError
from connectors import registry

ROOT = Path(__file__).resolve().parents[1]

# Line by line, so that a test can say in which one it made a mistake.
GOOD = """\
connections:
  north:
    kind: okliving
    url: https://north.example.com
    client_id: ${NORTH_CLIENT_ID}
    client_secret: ${file:north.secret}
    target: box
    external_id_prefix: n-
    rate: 2.5
    start_from: 2026-11-21
    poll_overlap: 900
    poll_lag: 5
    mode: live
  south:
    kind: okliving
    url: https://south.example.com/
    client_id: 007
    client_secret: no
    target: box
  box:
    kind: onebox
    url: https://box.example.com
    login: bridge
    password: "${BOX_PASSWORD}"
    workflow_id: 11
    status_id: 62
    hook_secrets: [0123456789abcdef, "${HOOK_SECRET}"]
    hook_addresses: 203.0.113.0/24, 2001:db8::1
    concurrency: 2
    timeout: 7
"""
VARIABLES = {
    "NORTH_CLIENT_ID": "north-id",
    "BOX_PASSWORD": "pa${ss}word",
    "HOOK_SECRET": "fedcba9876543210",
}


@pytest.fixture
def load(tmp_path, process_environment):
    """Load with this file and these variables alone; what loading puts there is taken back."""

    def load(text=GOOD, dotenv="", **variables):
        file = tmp_path / "connections.yaml"
        file.write_text(text) if isinstance(text, str) else file.write_bytes(text)
        (tmp_path / "north.secret").write_text("north-secret\n")
        (tmp_path / "empty.secret").write_text("\n")
        (tmp_path / ".env").write_text(dotenv)
        process_environment.clear()
        process_environment.update({"ORDERBRIDGE_DATA": str(tmp_path), **VARIABLES, **variables})
        process_environment.setdefault("ORDERBRIDGE_CONNECTIONS", str(file))
        chosen = settings.load(tmp_path / ".env")
        registry.check(chosen)
        return chosen

    return load


def own(chosen, name):
    return registry.own_settings(chosen.connection(name))


def test_good_file_is_read_with_its_variables_secret_files_and_defaults(load):
    chosen = load()
    assert (chosen.source_names, chosen.target_names) == (("north", "south"), ("box",))
    assert (chosen.sandbox, chosen.routes) == (False, {"north": "box", "south": "box"})
    north, south, box = (chosen.connection(name) for name in ("north", "south", "box"))
    assert (north.prefix, north.mode, north.poll_overlap, north.poll_lag) == ("n-", "live", 900, 5)
    assert north.start_from.isoformat() == "2026-11-21T00:00:00+00:00"
    assert (south.prefix, south.mode, south.poll_overlap, south.poll_lag) == (
        "south-",
        "shadow",
        600,
        0,
    )
    assert (south.start_from, box.target) == (None, None)
    shop = own(chosen, "north")
    assert (shop.client_id, shop.client_secret, shop.rate) == ("north-id", "north-secret", 2.5)
    assert (shop.concurrency, shop.timeout, shop.lease) == (8, 30, 70)
    assert own(chosen, "south").url == "https://south.example.com"
    crm = own(chosen, "box")
    assert crm.password == "pa${ss}word", "a value is not filled in twice"
    assert crm.hook_secrets == ("0123456789abcdef", "fedcba9876543210")
    assert (crm.concurrency, crm.timeout, crm.workflow_id, crm.source_id) == (2, 7, "11", None)


def test_values_are_taken_as_they_are_written(load):
    """What YAML takes for a number in base 8, or for false, is an id and a word here."""
    shop = own(load(), "south")
    assert (shop.client_id, shop.client_secret) == ("007", "no")


def test_environment_says_what_a_connection_does_not(load):
    chosen = load(ORDERBRIDGE_MODE="live", POLL_LAG="30", ORDERBRIDGE_START_FROM="all")
    north, south = chosen.connection("north"), chosen.connection("south")
    assert (south.mode, south.poll_lag, south.start_from) == ("live", 30, EVERYTHING)
    assert (north.poll_lag, north.start_from.year) == (5, 2026)


def test_no_secret_is_shown(load):
    chosen = load()
    shown = repr(chosen) + repr([own(chosen, name) for name in chosen.connections])
    for secret in ("north-secret", "word", "0123456789", "fedcba"):
        assert secret not in shown.replace("password", "")


# The end of a file whose one connection brings what is placed with us, and of another where we place orders.
INBOX = """\
  inbox:
    kind: createorder
    target: box
"""
SERVICE = """\
  service:
    kind: createorder
    url: https://orders.example.com
    tenant: us
    token: "${BOX_PASSWORD}"
    honours_idempotency: yes
"""


def test_one_kind_brings_orders_by_one_connection_and_receives_them_by_another(load):
    chosen = load(GOOD.replace("no\n    target: box", "no\n    target: service") + INBOX + SERVICE)
    assert chosen.source_names == ("north", "south", "inbox")
    assert registry.receiving_names(chosen) == ("box", "service")
    assert registry.read_names(chosen) == ("north", "south")
    assert registry.unread_names(chosen) == ("inbox",)
    inbox, service = own(chosen, "inbox"), own(chosen, "service")
    assert (inbox.url, inbox.tenant, inbox.token, inbox.error_status) == ("", "", None, "http")
    assert (service.url, service.tenant) == ("https://orders.example.com", "us")
    assert (service.honours_idempotency, service.rate, service.concurrency) == (True, 10, 8)
    assert "pa${ss}word" not in repr(service)
    files = [registry.profile_of(chosen.connection(name)).name for name in ("inbox", "service")]
    assert files == ["createorder.yaml", "createorder-service.yaml"]


@pytest.mark.parametrize(
    ("end", "line", "said"),
    [
        (INBOX.replace("    target: box\n", ""), 32,
         "url of inbox is missing: what has no target receives orders at its url."),
        (INBOX.replace("target: box", "targt: box"), 33,
         "targt of inbox is no key of createorder. Did you mean target?"),
        (SERVICE.replace("    tenant: us\n", ""), 32, "tenant of service is missing."),
        (SERVICE.replace("    url: https://orders.example.com\n", ""), 32, "url of service is missing"),
        (SERVICE.replace("yes", "sometimes"), 36, "honours_idempotency of service must be true or false."),
        (SERVICE.replace("https", "http"), 33, "url of service must begin with https://"),
        (INBOX + "    error_status: 422\n", 34, "error_status of inbox must be one of http, ok."),
        (INBOX + "    external_id_prefix: n-1\n", 34, "n-1 and n- of north begin alike"),
        (SERVICE + "    external_id_prefix: s-\n", 37,
         "external_id_prefix of service is for a connection that brings orders"),
    ],
)  # fmt: skip
def test_a_mistake_in_either_role_is_refused_by_line_and_key(load, end, line, said):
    with pytest.raises(SettingsError) as caught:
        load(GOOD + end)
    told = str(caught.value)
    assert said in told
    assert f"line {line}" in told


def test_what_brings_orders_is_no_target_also_where_it_has_an_address(load):
    both = INBOX + "    url: https://orders.example.com\n    tenant: us\n"
    with pytest.raises(
        SettingsError, match="inbox is a createorder, which as configured receives no orders"
    ):
        load(GOOD.replace("no\n    target: box", "no\n    target: inbox") + both)


MISTAKES = [
    # What is replaced, by what, the line it is told of, and what is said.
    ("kind: onebox", "kind: one-box", 21,
     "kind of box: there is no kind one-box. Did you mean onebox?"),
    ("    kind: okliving\n    url: https://north", "    url: https://north", 2, "kind of north is missing"),
    ("client_id: 007", "clientid: 007", 17,
     "clientid of south is no key of okliving. Did you mean client_id?"),
    ("timeout: 7", "time_out: 7", 30, "time_out of box is no key of onebox. Did you mean timeout?"),
    ("    login: bridge\n", "", 21, "login of box is missing."),
    ("login: bridge", "login: ~", 23, "login of box is missing."),
    ("login: bridge", "login: [a, b]", 23, "login of box must be one value, no list."),
    ("login: bridge", "login: {a: b}", 23, "login of box must be one value, or a list of values."),
    ("concurrency: 2", "concurrency: two", 29, "concurrency of box must be a whole number from 0 to 100000."),
    ("concurrency: 2", "concurrency: 1.5", 29, "concurrency of box must be a whole number from 0 to 100000."),
    ("timeout: 7", "timeout: 0", 30, "timeout of box must be a number from 0.1 to 3600."),
    ("rate: 2.5", "rate: -1", 9, "rate of north must be a number from 0 to 100000."),
    ("rate: 2.5", "rate: .inf", 9, "rate of north must be a number from 0 to 100000."),
    ("poll_lag: 5", "poll_lag: 1m", 12, "poll_lag of north must be a whole number of seconds"),
    ("start_from: 2026-11-21", "start_from: soon", 10, "start_from of north must be `all`, `now` or a date"),
    ("mode: live", "mode: alive", 13, "mode of north must be shadow or live. Did you mean live?"),
    ("https://north", "north", 4, "url of north must be a URL such as"),
    ("https://box", "http://box", 22, "url of box must begin with https://"),
    ("${NORTH_CLIENT_ID}", "${NORTH_CLIENTID}", 5,
     "client_id of north: the variable NORTH_CLIENTID is not set. Did you mean NORTH_CLIENT_ID?"),
    ("${BOX_PASSWORD}", "${NOT_THERE_AT_ALL}", 24, "NOT_THERE_AT_ALL is not set. Set it in the environment"),
    ("${BOX_PASSWORD}", "${not-a-name}", 24, "password of box: ${not-a-name} is neither"),
    ("file:north.secret", "file:nort.secret", 6,
     "nort.secret cannot be read (FileNotFoundError). Did you mean north.secret?"),
    ("file:north.secret", "file:empty.secret", 6, "empty.secret is empty."),
    ("    target: box\n    external", "    target: boxx\n    external", 7,
     "target of north: there is no connection called boxx. Did you mean box?"),
    ("    target: box\n    external", "    target: south\n    external", 7,
     "target of north: south is a okliving, which receives no orders. There is: box."),
    ("    target: box\n    external", "    target: north\n    external", 7,
     "target of north: orders would go in a circle: north → north."),
    ("no\n    target: box", "no", 15, "target of south is missing: say where its orders go. There is: box."),
    ("login: bridge", "login: bridge\n    target: north", 7, "orders would go in a circle"),
    ("    login: bridge", "    login: bridge\n    external_id_prefix: b-", 24,
     "external_id_prefix of box is for a connection that brings orders"),
    ("external_id_prefix: n-", "external_id_prefix: south", 14, "south- and south of north begin alike"),
    ("external_id_prefix: n-", "external_id_prefix: south-", 14,
     "Give south another prefix, such as 1south-"),
    ("external_id_prefix: n-", "external_id_prefix: 'n '", 8, "must be 1 to 32 characters without blanks"),
    ("  south:", "  north:", 14, "north stands twice in connections, first in line 2. Remove one"),
    ("rate: 2.5", "url: https://x.example.com", 9, "url stands twice in north, first in line 4."),
    ("  south:", "  south shop:", 14, "'south shop' is no name for a connection: letters, digits and dashes"),
    ("  south:", "  south_shop:", 14, "Did you mean south-shop?"),
    ("  south:", f"  {'s' * 32}:", 14, "31 at most"),
    ("login: bridge", "profile: oklivng.yaml", 23, "Did you mean okliving.yaml?"),
    ("0123456789abcdef", "short", 27, "hook_secrets of box must be secrets of 16 characters or more"),
    ("203.0.113.0/24", "somewhere", 28, "hook_addresses of box must be addresses or networks"),
    ("connections:\n", "connection:\n", 1, "connection is no key here. Did you mean connections?"),
    ("connections:\n", "sandbox: perhaps\nconnections:\n", 1, "sandbox must be true or false."),
    ("  north:\n    kind: okliving", "  north: okliving\n  x:\n    kind: okliving", 2,
     "north must be a table of keys and values."),
    ("    rate: 2.5", "   rate: 2.5", 9, "this is no YAML"),
    ("    rate: 2.5", "    ? [a]\n    : b", 9, "a key of north must be text."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"), MISTAKES, ids=[said[:40] for *_, said in MISTAKES]
)
def test_mistake_is_refused_by_line_and_key_with_a_suggestion(load, right, wrong, line, said):
    assert right in GOOD
    with pytest.raises(SettingsError) as refused:
        load(GOOD.replace(right, wrong, 1))
    assert str(refused.value).startswith(f"connections.yaml, line {line}: ")
    assert said in str(refused.value)
    for secret in ("north-secret", "pa$", "0123456789abcdef", "fedcba"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file must be a table"),
        ("sandbox: true\n", "line 1: connections is missing"),
        ("connections: {}\n", "line 1: connections is empty"),
        ("- a\n", "line 1: the file must be a table"),
        (b"\xff\xfe\xff", "is no UTF-8 text"),
        ("a: \x00\n", "is no YAML"),
    ],
)
def test_what_is_no_connections_file_is_refused(load, text, said):
    with pytest.raises(SettingsError, match=r"connections\.yaml") as refused:
        load(text)
    assert said in str(refused.value)


def test_file_that_is_not_there_is_named(load):
    with pytest.raises(SettingsError, match=r"ORDERBRIDGE_CONNECTIONS names .*nowhere.yaml"):
        load(ORDERBRIDGE_CONNECTIONS="/nowhere.yaml")


def test_file_and_the_pairs_variables_together_are_refused_and_it_is_said_which_counts(load):
    with pytest.raises(SettingsError) as refused:
        load(OKLIVING_URL="https://shop.example.com", ONEBOX_LOGIN="x")
    assert "so the connections of" in str(refused.value)
    assert "OKLIVING_URL, ONEBOX_LOGIN would not" in str(refused.value)


def test_file_may_refer_to_the_pairs_variables(load):
    chosen = load(GOOD.replace("bridge", "${ONEBOX_LOGIN}"), ONEBOX_LOGIN="by-the-environment")
    assert own(chosen, "box").login == "by-the-environment"


def test_circle_of_several_is_told_to_each_of_them(load):
    two = GOOD.replace("target: box", "target: south", 1).replace(
        "no\n    target: box", "no\n    target: north"
    )
    with pytest.raises(SettingsError, match="north → south → north"):
        load(two)


def test_sandbox_reaches_nothing_off_this_machine(load):
    with pytest.raises(SettingsError, match="address of north leads off this machine"):
        load("sandbox: true\n" + GOOD)
    with pytest.raises(SettingsError, match="never mixed"):
        load(ORDERBRIDGE_SANDBOX="1")


def test_sandbox_without_its_simulators_has_no_connections_yet(load, tmp_path):
    chosen = load((ROOT / "docs/examples/two-shops.yaml").read_text())
    assert (chosen.sandbox, chosen.connections) == (True, {})
    assert chosen.data == tmp_path / "sandbox-connections"
    assert [entry.name for entry in chosen.unfilled] == ["north", "south", "north-box", "south-box"]


def test_example_without_its_first_line_asks_for_its_variables(load):
    text = (ROOT / "docs/examples/two-shops.yaml").read_text().replace("sandbox: true\n", "")
    with pytest.raises(SettingsError, match="url of north: the variable NORTH_URL is not set"):
        load(text)


# --- who is meant where nobody is named -----------------------------------------------------------------


def test_only_source_is_meant(load):
    start, end = GOOD.index("  south:"), GOOD.index("  box:")
    chosen = load(GOOD[:start] + GOOD[end:])
    assert (chosen.source(), chosen.source("north")) == ("north", "north")


def test_default_pairs_source_is_meant_among_several_or_the_choices_are_named(load):
    chosen = load()
    with pytest.raises(SettingsError, match="Say which connection is meant: north, south"):
        chosen.source()
    north = chosen.connections["north"]
    connections = {**chosen.connections, "okliving": replace(north, name="okliving")}
    assert replace(chosen, connections=connections).source() == "okliving"
