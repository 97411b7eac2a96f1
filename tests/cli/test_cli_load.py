"""`orderbridge load`: all of a file or, where it has a mistake, nothing; the same again changes nothing."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from ledger.migrate import upgrade
from ledger.tables import ACCOUNTS, ADDRESSES, CATALOG, TENANTS
from settings import ROOT

TABLES = (TENANTS, ACCOUNTS, ADDRESSES, CATALOG)
FILE = """
tenants:
  - name: Zegoal885
    timezone: Europe/Minsk
    defaults: {create_account: false, address_policy: optional, deliver: true}
    accounts:
      - {account_id: 7, customer_name: NewClient_1, external_customer_id: "0012",
         addresses: [{account_address_id: 3, text: street 3}, {text: ""}]}
      - {customer_name: Anna, external_customer_id: 2}
      - {customer_name: Only a name}
    catalog:
      - {catalog_position_id: 4, product_name: "position #612", unit: шт, default_quantity: 2, price: 30}
      - {product_name: by code, product_code: c1, price: 23.10}
      - {product_name: by name, price: 0.30000000}
"""


@pytest.fixture
def load(run, ledger, folder):
    """Write a file and load it: exit code, stdout, stderr."""

    def load(content, *options, name="tenants.yaml"):
        path = folder / name
        path.write_text(content, encoding="utf-8")
        return run("load", str(path), *options)

    return load


def rows(ledger):
    with ledger.read() as db:
        return {t.name: [dict(r) for r in db.execute(select(t)).mappings()] for t in TABLES}


def column(ledger, wanted):
    with ledger.read() as db:
        return list(db.execute(select(wanted).order_by(*wanted.table.primary_key)).scalars())


def test_file_is_loaded_and_its_ids_are_kept(load, ledger):
    code, out, err = load(FILE)
    assert (code, err) == (0, "")
    assert "Created 9, changed 0." in out
    (tenant,) = rows(ledger)["tenants"]
    assert (tenant["name"], tenant["name_key"], tenant["zone"]) == (
        "Zegoal885", "zegoal885", "Europe/Minsk",
    )  # fmt: skip
    assert (tenant["creates_accounts"], tenant["address_policy"]) == (False, "optional")
    people = [(r["account_id"], r["customer_name"], r["external_customer_id"], r["is_loaded"])
              for r in rows(ledger)["accounts"]]  # fmt: skip
    assert sorted(people) == [
        (7, "NewClient_1", "0012", True), (8, "Anna", "2", True), (9, "Only a name", None, True),
    ]  # fmt: skip
    places = [(r["account_address_id"], r["account_id"], r["text"])
              for r in rows(ledger)["account_addresses"]]  # fmt: skip
    assert sorted(places) == [(3, 7, "street 3"), (4, 7, "")]
    goods = {r["catalog_position_id"]: (r["product_name"], str(r["price"]), r["unit"])
             for r in rows(ledger)["catalog_positions"]}  # fmt: skip
    assert goods == {4: ("position #612", "30", "шт"), 5: ("by code", "23.10", "шт"),
                     6: ("by name", "0.30000000", "шт")}  # fmt: skip
    assert (tenant["last_account"], tenant["last_address"], tenant["last_catalog"]) == (9, 4, 6)


def test_same_file_again_changes_nothing_and_says_so(load, ledger):
    load(FILE)
    before = rows(ledger)
    code, out, _ = load(FILE)
    assert code == 0
    assert "Nothing to change" in out
    assert rows(ledger) == before


def test_json_says_the_same_as_yaml(load, ledger):
    load(FILE)
    before = rows(ledger)
    as_json = """{"tenants": [{"name": "zegoal885", "timezone": "Europe/Minsk", "accounts": [
        {"customer_name": "Anna", "external_customer_id": "2"}],
        "catalog": [{"product_name": "by code", "product_code": "c1", "price": 23.1}]}]}"""
    code, out, _ = load(as_json, "--json", name="tenants.json")
    assert code == 0
    told = json.loads(out)
    assert told["changes"] == []
    assert told["accounts"] == {"new": 0, "changed": 0, "same": 1}
    assert rows(ledger) == before, "also the stored spelling"


def test_what_a_file_does_not_say_stays(load, ledger):
    load(FILE)
    load("tenants: [{name: ZEGOAL885, timezone: Europe/Kyiv}]")
    (tenant,) = rows(ledger)["tenants"]
    assert (tenant["name"], tenant["zone"]) == ("Zegoal885", "Europe/Kyiv")
    assert tenant["address_policy"] == "optional"
    assert len(rows(ledger)["accounts"]) == 3


def test_dry_run_shows_the_difference_and_writes_nothing(load, ledger):
    load(FILE)
    before = rows(ledger)
    changed = FILE.replace("Europe/Minsk", "Europe/Kyiv").replace("price: 23.10", "price: 24")
    changed = changed.replace("Only a name}", "Only a name}\n      - {customer_name: New}")
    code, out, _ = load(changed, "--dry-run")
    assert code == 0
    assert "tenants[0]: tenant Zegoal885: timezone Europe/Minsk → Europe/Kyiv" in out
    assert "tenants[0].catalog[1]: position by code: price 23.10 → 24" in out
    assert "tenants[0].accounts[3]: new account New" in out
    assert "It would create 1 and change 2. Nothing was written." in out
    assert rows(ledger) == before
    _, out, _ = load(changed, "--dry-run", "--json")
    told = json.loads(out)
    assert told["dry_run"]
    assert told["catalog_positions"] == {"new": 0, "changed": 1, "same": 2}
    assert {"before": "23.10", "after": "24"} in [
        c["changes"].get("price") for c in told["changes"]
    ]


def test_accounts_that_orders_brought_become_the_merchants_own(load, ledger):
    load(FILE)
    ledger.write(lambda db: db.execute(update(ACCOUNTS).values(is_loaded=False)))
    code, out, _ = load(FILE)
    assert code == 0
    assert "changed 3" in out
    assert column(ledger, ACCOUNTS.c.is_loaded) == [True] * 3


TENANT = "tenants: [{name: T, timezone: Europe/Kyiv"
MISTAKES = {
    "no such key": (TENANT + ", acounts: []}]", "tenants[0].acounts: is no key here"),
    "no tenants": ("tenants: []", "tenants: is empty"),
    "nothing": ("", "the file: must be a mapping"),
    "a list": ("[]", "the file: must be a mapping"),
    "no zone": ("tenants: [{name: T}]", "tenants[0].timezone: is missing"),
    "a zone that is none": (
        "tenants: [{name: T, timezone: Europe/Kiew}]",
        "tenants[0].timezone: Europe/Kiew is no time zone. Did you mean Europe/Kiev?",
    ),
    "a name with a blank": ("tenants: [{name: a b, timezone: UTC}]", "tenants[0].name: must be"),
    "a name of 41": (f"tenants: [{{name: {'a' * 41}, timezone: UTC}}]", "tenants[0].name: must be"),
    "a name with a line end": (
        'tenants: [{name: "a\\n", timezone: UTC}]',
        "tenants[0].name: must be",
    ),
    "one name in two cases": (
        "tenants: [{name: a, timezone: UTC}, {name: A, timezone: UTC}]",
        "tenants[1].name: stands at tenants[0].name already",
    ),
    "an unknown connection": (
        TENANT + ", connection: nowhere}]",
        "tenants[0].connection: nowhere is no connection whose orders tenants place",
    ),
    "a policy that is none": (
        TENANT + ", defaults: {address_policy: any}}]",
        "tenants[0].defaults.address_policy: must be one of one, optional",
    ),
    "a flag in words": (
        TENANT + ", defaults: {deliver: yes}}]",
        "tenants[0].defaults.deliver: must be true or false. It is yes",
    ),
    "a callback in clear": (
        TENANT + ", defaults: {callback_url: 'http://example.com', callback_secret: s}}]",
        "tenants[0].defaults.callback_url: must be an address such as https://",
    ),
    "a callback without a secret": (
        TENANT + ", defaults: {callback_url: 'https://example.com'}}]",
        "tenants[0].defaults.callback_secret: is missing",
    ),
    "a secret that can be guessed": (
        TENANT + ", defaults: {callback_url: 'https://e.com', callback_secret: 'short'}}]",
        "tenants[0].defaults.callback_secret: must have 16 characters or more",
    ),
    "a secret that is not there": (
        TENANT + ", defaults: {callback_url: 'https://e.com', callback_secret: '${NO_SUCH}'}}]",
        "tenants[0].defaults.callback_secret: the variable NO_SUCH is not set",
    ),
    "no name": (TENANT + ", accounts: [{}]}]", "tenants[0].accounts[0].customer_name: is missing"),
    "an empty name": (
        TENANT + ", accounts: [{customer_name: ' '}]}]",
        "tenants[0].accounts[0].customer_name: must not be empty",
    ),
    "a name that is a number": (
        TENANT + ", accounts: [{customer_name: 5}]}]",
        "tenants[0].accounts[0].customer_name: must be a text",
    ),
    "a long name": (
        TENANT + f", accounts: [{{customer_name: {'n' * 256}}}]}}]",
        "tenants[0].accounts[0].customer_name: is too long: 256",
    ),
    "a name that begins with a blank": (
        TENANT + ", accounts: [{customer_name: ' a'}]}]",
        "tenants[0].accounts[0].customer_name: begins or ends with a blank",
    ),
    "an external id that ends with a blank": (
        TENANT + ", accounts: [{customer_name: a, external_customer_id: '1 '}]}]",
        "tenants[0].accounts[0].external_customer_id: begins or ends with a blank",
    ),
    "a position of nothing": (
        TENANT + ", catalog: [{product_name: a, price: 0, default_quantity: 0}]}]",
        "tenants[0].catalog[0].default_quantity: must be above 0",
    ),
    "a zone of the machine's": (
        "tenants: [{name: shop, timezone: localtime}]",
        "tenants[0].timezone: localtime is no time zone",
    ),
    "a name that steers": (
        TENANT + ', accounts: [{customer_name: "a\\e[31m"}]}]',
        "tenants[0].accounts[0].customer_name: has characters that steer",
    ),
    "a name with a line end ": (
        TENANT + ', accounts: [{customer_name: "a\\nb"}]}]',
        "tenants[0].accounts[0].customer_name: has characters that steer",
    ),
    "an id of zero": (
        TENANT + ", accounts: [{account_id: 0, customer_name: a}]}]",
        "tenants[0].accounts[0].account_id: must be a whole number from 1. It is 0",
    ),
    "an id in words": (
        TENANT + ", accounts: [{account_id: '1', customer_name: a}]}]",
        "tenants[0].accounts[0].account_id: must be a whole number",
    ),
    "an id with zeros before it": (
        TENANT + ", accounts: [{account_id: 007, customer_name: a}]}]",
        "must be a whole number from 1. It is 007",
    ),
    "one id twice": (
        TENANT
        + ", accounts: [{account_id: 1, customer_name: a}, {account_id: 1, customer_name: b}]}]",
        "tenants[0].accounts[1].account_id: stands at tenants[0].accounts[0].account_id already",
    ),
    "one external id twice": (
        TENANT + ", accounts: [{external_customer_id: 1, customer_name: a},"
        " {external_customer_id: '1', customer_name: b}]}]",
        "tenants[0].accounts[1].external_customer_id: stands at",
    ),
    "namesakes that nothing tells apart": (
        TENANT
        + ", accounts: [{customer_name: a}, {customer_name: a, external_customer_id: '1'}]}]",
        "tenants[0].accounts[0].customer_name: is borne by 2 entries",
    ),
    "one address id twice": (
        TENANT + ", accounts: [{customer_name: a, addresses: [{account_address_id: 1, text: x}]},"
        " {customer_name: b, addresses: [{account_address_id: 1, text: y}]}]}]",
        "tenants[0].accounts[1].addresses[0].account_address_id: stands at",
    ),
    "one address twice": (
        TENANT + ", accounts: [{customer_name: a, addresses: [{text: x}, {text: x}]}]}]",
        "tenants[0].accounts[0].addresses[0].text: is borne by 2",
    ),
    "addresses that are none": (
        TENANT + ", accounts: [{customer_name: a, addresses: x}]}]",
        "tenants[0].accounts[0].addresses: must be a list",
    ),
    "a negative price": (
        TENANT + ", catalog: [{product_name: p, price: -0.01}]}]",
        "tenants[0].catalog[0].price: must be from 0",
    ),
    "no number": (
        TENANT + ", catalog: [{product_name: p, price: .nan}]}]",
        "tenants[0].catalog[0].price: must be a number such as 23.1, without quotes. It is .nan",
    ),
    "an endless price": (
        TENANT + ", catalog: [{product_name: p, price: .inf}]}]",
        "tenants[0].catalog[0].price: must be a number",
    ),
    "a price of seven places": (
        TENANT + ", catalog: [{product_name: p, price: 0.0000001}]}]",
        "with 6 decimal places at most",
    ),
    "a great price": (
        TENANT + ", catalog: [{product_name: p, price: 1e12}]}]",
        "must be from 0 to below",
    ),
    "a price that is true": (
        TENANT + ", catalog: [{product_name: p, price: true}]}]",
        "must be a number such as 23.1, without quotes. It is true",
    ),
    "one code twice": (
        TENANT + ", catalog: [{product_name: p, price: 1, product_code: c},"
        " {product_name: q, price: 1, product_code: c}]}]",
        "tenants[0].catalog[0].product_code: is borne by 2",
    ),
    "one key twice": (TENANT + ", name: U}]", "line 1: the key name stands twice in one mapping"),
    "an alias": (
        "tenants: [&t {name: a, timezone: UTC}, *t]",
        "line 1: *t is not read here: write it out",
    ),
    "a second document": (TENANT + "}]\n---\n{}", "line 2: a second document begins"),
    "no YAML": ("tenants: [{", "this is no YAML"),
    "a control": ("tenants:\n  - name: \x00", "line 2: this is no YAML: a character that steers"),
    "half a secret's file": (
        TENANT
        + ", defaults: {callback_url: 'https://e.com', callback_secret: '${file:none.txt}'}}]",
        "tenants[0].defaults.callback_secret: the secret file",
    ),
}


@pytest.mark.parametrize(("content", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told_by_its_path_and_nothing_is_loaded(load, ledger, content, said):
    code, out, err = load(content)
    assert code == 2, out
    assert said in err
    assert out == ""
    assert rows(ledger)["tenants"] == []


JSON_MISTAKES = {
    "no JSON": ('{"tenants": [}', "line 1: this is no JSON"),
    "one key twice": ('{"tenants": [], "tenants": []}', "the key tenants stands twice"),
    "NaN": (
        '{"tenants": [{"name": "T", "timezone": "UTC", "catalog": [{"product_name": "p", "price": NaN}]}]}',
        "tenants[0].catalog[0].price: must be a number such as 23.1, without quotes. It is NaN",
    ),
    "deep": ("[" * 100_000, "it is nested too deeply"),
    "a great number": (
        '{"tenants": [{"name": "T", "timezone": "UTC", "accounts": [{"account_id": '
        + "9" * 5000
        + ', "customer_name": "a"}]}]}',
        "must be a whole number",
    ),
    "NUL": (
        '{"tenants": [{"name": "T", "timezone": "UTC", "accounts": [{"customer_name": "a\\u0000"}]}]}',
        "has characters that steer",
    ),
    "half a pair": (
        '{"tenants": [{"name": "T", "timezone": "UTC", "accounts": [{"customer_name": "a\\ud800"}]}]}',
        "has characters that steer",
    ),
}


@pytest.mark.parametrize(("content", "said"), JSON_MISTAKES.values(), ids=JSON_MISTAKES)
def test_json_has_its_own_mistakes(load, ledger, content, said):
    code, _, err = load(content, name="tenants.json")
    assert (code, rows(ledger)["tenants"]) == (2, [])
    assert said in err


def test_first_mistakes_are_shown_and_the_rest_counted(load, ledger):
    many = ", ".join("{account_id: -1}" for _ in range(30))
    code, _, err = load(f"{TENANT}, accounts: [{many}]}}]")
    assert code == 2
    assert err.count("is missing") + err.count("must be a whole number") == 20
    assert "and 40 more" in err
    assert "has 60 mistakes: nothing was loaded" in err


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_file_that_cannot_be_read_is_said(run, ledger, folder, name):
    code, _, err = run("load", str(folder / name))
    assert code == 2
    assert "cannot be read" in err


def test_file_of_other_letters_is_said(run, ledger, folder):
    (folder / "t.yaml").write_bytes("tenants: київ".encode("cp1251"))
    code, _, err = run("load", str(folder / "t.yaml"))
    assert code == 2
    assert "is not UTF-8" in err


STORED = {
    "a namesake": ("{customer_name: Twin}", "customer_name: is borne by several: 11, 12"),
    "another's external id": (
        "{account_id: 8, customer_name: Anna, external_customer_id: '0012'}",
        "external_customer_id: is account 7's",
    ),
    "another's address": (
        "{account_id: 8, customer_name: Anna, addresses: [{account_address_id: 3, text: x}]}",
        "addresses[0].account_address_id: is account 7's",
    ),
    "one by two keys": (
        "{account_id: 7, customer_name: X}, {customer_name: NewClient_1}",
        "is account 7, as tenants[0].accounts[0] is",
    ),
}


@pytest.mark.parametrize(("accounts", "said"), STORED.values(), ids=STORED)
def test_what_cannot_be_told_apart_from_what_is_stored_is_a_mistake(load, ledger, accounts, said):
    load(FILE)
    twins = [{"account_id": n, "external_customer_id": str(n)} for n in (11, 12)]
    listed = ", ".join(json.dumps(one | {"customer_name": "Twin"}) for one in twins)
    load(f"tenants: [{{name: Zegoal885, timezone: Europe/Minsk, accounts: [{listed}]}}]")
    before = rows(ledger)
    file = f"tenants: [{{name: zegoal885, timezone: UTC, accounts: [{accounts}]}}]"
    code, _, err = load(file)
    assert code == 2
    assert said in err
    assert rows(ledger) == before


def test_callback_is_kept_sealed_and_its_secret_shown_nowhere(load, ledger, process_environment):
    process_environment["CALLBACK"] = "s3cr3t-of-the-tenant"
    file = (
        TENANT
        + ", defaults: {callback_url: 'http://127.0.0.1:9/x', callback_secret: '${CALLBACK}'}}]"
    )
    for options in (["--dry-run"], ["--dry-run", "--json"], [], ["--json"]):
        code, out, err = load(file, *options)
        assert code == 0, err
        assert "s3cr3t" not in out + err
    (tenant,) = rows(ledger)["tenants"]
    assert b"s3cr3t" not in tenant["sealed_secret"]
    before = rows(ledger)
    _, out, _ = load(file)
    assert "Nothing to change" in out
    assert rows(ledger) == before
    process_environment["CALLBACK"] = "another-of-the-tenant"
    code, out, _ = load(file, "--dry-run")
    assert "callback_secret (secret) → (secret)" in out
    code, out, _ = load(TENANT + ", defaults: {callback_url: null, callback_secret: null}}]")
    assert code == 0
    (tenant,) = rows(ledger)["tenants"]
    assert (tenant["callback_url"], tenant["sealed_secret"]) == (None, None)


def test_broken_off_load_is_completed_by_another(load, ledger, monkeypatch):
    from desk import loading  # noqa: PLC0415  beside its use
    from ledger.tenants import loading as kept  # noqa: PLC0415  as above

    monkeypatch.setattr(loading, "CHUNK", 2)
    real, calls = kept.keep, []

    def breaks_off(*args):
        calls.append(args)
        return real(*args) if len(calls) < 3 else False

    accounts = ", ".join(f"{{customer_name: n{n}, addresses: [{{text: a}}]}}" for n in range(5))
    file = f"{TENANT}, accounts: [{accounts}]}}]"
    with monkeypatch.context() as patched:
        patched.setattr(kept, "keep", breaks_off)
        code, _, err = load(file)
    assert code == 4
    assert "Repeat it" in err
    assert len(rows(ledger)["accounts"]) == 2
    code, out, _ = load(file)
    assert "Created 6, changed 0" in out
    assert sorted(column(ledger, ACCOUNTS.c.account_id)) == [1, 2, 3, 4, 5]


def test_amounts_never_are_floats(load, ledger):
    load(TENANT + ", catalog: [{product_name: p, price: 0.1, default_quantity: 1e2}]}]")
    assert column(ledger, CATALOG.c.price) == [Decimal("0.1")]
    assert [str(one) for one in column(ledger, CATALOG.c.default_quantity)] == ["100"]


def test_the_example_of_the_documents_loads(run, ledger):
    code, _, err = run("load", str(ROOT / "docs" / "examples" / "tenants.yaml"))
    assert (code, err) == (0, "")
    assert len(rows(ledger)["catalog_positions"]) == 6


BOX = "box: {kind: onebox, url: 'https://b.example.com', login: a, password: b, workflow_id: 1, status_id: 2}"
INBOX = "{kind: createorder, target: box"


@pytest.mark.parametrize(
    ("connections", "tenant", "said"),
    [
        ([], "", "Orders of a are refused yet (503). No connection takes orders of tenants"),
        (["one"], "", ""),
        (["one", "two"], "", "Say by which they come, at `connection:` in the file: one, two."),
        (["one", "two"], ", connection: two", ""),
    ],
)
def test_tenant_whose_orders_would_be_refused_is_named(
    load, folder, process_environment, connections, tenant, said
):
    """Not only its first caller learns of it."""
    inboxes = [f"  {name}: {INBOX}, external_id_prefix: {name}-}}" for name in connections]
    path = folder / "connections.yaml"
    path.write_text("\n".join(["connections:", f"  {BOX}", *inboxes, ""]))
    url = f"sqlite:///{folder / 'own.db'}"
    upgrade(url, sandbox=False)
    process_environment.update(ORDERBRIDGE_CONNECTIONS=str(path), DATABASE_URL=url)
    for expected in ("Created 1", "Nothing to change"):
        code, out, err = load(f"tenants: [{{name: a, timezone: UTC{tenant}}}]")
        assert code == 0
        assert expected in out
        assert said in err if said else not err
