"""`POST /CreateOrder`: the text's samples, every refusal in the envelope, keys, tenants, repeats."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from gateway_calls import KEY, OTHER_KEY, bearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from placing_stand_in import Account, of_the_seed, taking
from structlog.testing import capture_logs

from connectors.ports import Connector
from gateway import createorder
from gateway.createorder_refusals import CODES, denied
from ledger.faults import LedgerUnavailable
from ledger.orders import Due
from ledger.tenants import Refused, Tenant
from ledger.tenants.words import Reason
from mapping.exact_json import DEEPEST, MOST_MARKS
from mapping.source import from_text

PATH = "/CreateOrder"
SAMPLES = sorted((Path(__file__).parent / "createorder_samples").glob("*.json"))
NOW = datetime(2020, 7, 3, 6, 16, 30, tzinfo=UTC)
GOOD = {"tenant": "orderingtenant885", "account_id": 1}
LIMITED = "l" * 24
READER = "r" * 24
JSON = "application/json"
CTX_ID = re.compile(r"[0-9A-Za-z]{8}:0-[0-9A-Za-z]{2}")


@pytest.fixture
def placing(monkeypatch):
    stand_in = of_the_seed()
    monkeypatch.setattr("desk.placing.place", stand_in.place)
    return stand_in


@pytest.fixture
def made(gateway, placing, monkeypatch):
    keys = f"erp:{KEY},desk:{OTHER_KEY},only:{LIMITED}:orders:write+tenant=OTHER,reader:{READER}:orders:read"
    built = gateway(ORDERBRIDGE_API_KEYS=keys, GATEWAY_RATE="0")
    taking(built.resources)
    built.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    monkeypatch.setattr(type(built.ledger), "now", lambda _: NOW)
    return built


def told(answer):
    """The envelope, which every answer of the door is."""
    assert answer.mimetype == JSON
    envelope = answer.json
    assert envelope.keys() == {"processing_result", "processing_date", "CreateOrder"}
    result, inner = envelope["processing_result"], envelope["CreateOrder"]
    assert result.keys() == {"text", "status", "ctx_id", "code"}
    assert inner.keys() == {"response", "request", "extra_logic", "enriched_request"}
    assert CTX_ID.fullmatch(result["ctx_id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", envelope["processing_date"])
    assert inner["extra_logic"] == ""
    assert (result["status"], result["code"] == 0) in {("ok", True), ("error", False)}
    if result["code"]:
        assert result["code"] in CODES
        assert [*inner["response"]] == ["errors"]
        assert inner["enriched_request"] == {}
    return envelope


def errors(answer):
    envelope = told(answer)
    return envelope["processing_result"]["code"], [*envelope["CreateOrder"]["response"]["errors"]]


# --- the samples ----------------------------------------------------------------------------------------


def without_ids_and_times(envelope):
    """What the text's samples promise; each id is whatever was counted, and now is now. Of the tenant's
    spelling the samples say both: docs/contracts/createorder.md, 5.
    """
    envelope = json.loads(json.dumps(envelope))
    envelope["processing_result"]["ctx_id"] = envelope["processing_date"] = "-"
    inner = envelope["CreateOrder"]
    order = inner["response"]["order"]
    for holder in (order, *order["order_positions"]):
        for name in ("order_id", "order_num", "position_id"):
            assert isinstance(holder.pop(name, 1), int)
    enriched = inner["enriched_request"]
    if "start_date" not in inner["request"]:
        assert order.pop("start_date") == enriched.pop("start_date")
    enriched["tenant"] = enriched["tenant"].lower()
    return envelope


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_of_the_text_get_its_answers_up_to_ids_and_times(made, path):
    sample = json.loads(path.read_text())
    answer = made.client.post(PATH, json=sample["request"])

    assert answer.status_code == 200
    assert without_ids_and_times(told(answer)) == without_ids_and_times(sample["answer"])
    assert answer.json["CreateOrder"]["enriched_request"]["tenant"] == "orderingTenant885"


def test_the_samples_one_after_another_have_the_numbers_of_the_text(made):
    samples = {path.stem: json.loads(path.read_text()) for path in SAMPLES}
    for name in ("existing_account", "positions", "new_account"):
        answer = told(made.client.post(PATH, json=samples[name]["request"]))
        order = answer["CreateOrder"]["response"]["order"]
        expected = samples[name]["answer"]["CreateOrder"]["response"]["order"]
        assert order | {"start_date": ""} == expected | {"start_date": ""}


def test_amounts_are_numbers_without_zeros_that_say_nothing(made):
    body = json.loads(next(p for p in SAMPLES if p.stem == "positions").read_text())["request"]
    text = made.client.post(PATH, json=body).text
    assert '"order_total":260.5,' in text
    assert '"price":30,' in text
    assert '"price":200.5,' in text
    assert '"unit":"шт"' in text


def test_a_float_never_spoils_an_amount(made):
    price = "123456789.123457"
    line = f'{{"product_name":"x","price":{price},"quantity":3.000001}}'
    body = f'{{"tenant":"orderingtenant885","account_id":1,"n":1.10,"order_positions":[{line}]}}'
    text = made.client.post(PATH, data=body, content_type=JSON).text
    assert f'"price":{price},' in text
    assert '"order_total":370370490.827160123457,' in text
    assert '"request":{"tenant":"orderingtenant885","account_id":1,"n":1.1,' in text


def test_it_is_rung_for_and_times_are_by_the_tenants_clock(made, rung):
    answer = told(made.client.post(PATH, json=GOOD))
    assert rung == [Due(3, "createorder", "onebox")]
    assert answer["processing_date"] == "2020-07-03 09:16:30"


def test_a_ctx_id_stands_in_the_log_line_of_its_request_and_nothing_else_of_it_does(made):
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answers = [
            made.client.post(PATH, json=GOOD | more)
            for more in ({"email": "a@b.c"}, {"account_id": 9})
        ]
    assert [line["ctx_id"] for line in lines if line["event"] == "request"] == [
        told(answer)["processing_result"]["ctx_id"] for answer in answers
    ]
    assert "a@b.c" not in repr(lines)


def test_a_transaction_that_runs_twice_gives_one_answer(made, placing):
    placing.twice = True
    answer = told(made.client.post(PATH, json=GOOD))
    (source,) = placing.placed
    assert json.loads(source)["ctx_id"] == answer["processing_result"]["ctx_id"]


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", PATH, {}, 405, 1),
        ("OPTIONS", PATH, {}, 405, 1),
        ("PUT", PATH, {"json": GOOD}, 405, 1),
        ("POST", f"{PATH}/more", {"json": GOOD}, 404, 1),
        ("POST", f"{PATH}/", {"json": GOOD}, 404, 1),
        ("POST", PATH, {"data": b"{", "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b"", "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b'{"tenant":NaN}', "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b'{"tenant":"a","tenant":"b"}', "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b"[" * 99_999, "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b"1" * 5000, "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b'"\\ud800"', "content_type": JSON}, 400, 1),
        ("POST", PATH, {"data": b"a=b", "content_type": "text/plain"}, 415, 1),
        ("POST", PATH, {"data": {"tenant": "a"}}, 415, 1),
        ("POST", PATH, {"data": b" " * (createorder.LARGEST + 1), "content_type": JSON}, 413, 1),
        ("POST", PATH, {"json": []}, 422, 1),
        ("POST", PATH, {"data": b"null", "content_type": JSON}, 422, 1),
        ("POST", PATH, {"json": {}}, 422, 1),
        ("POST", PATH, {"json": GOOD | {"order_positions": [{"price": -1}]}}, 422, 1),
        ("POST", PATH, {"json": GOOD | {"start_date": "2021-02-30 00:00:00"}}, 422, 1),
        ("POST", PATH, {"json": GOOD | {"account_id": 77}}, 422, 2),
        ("POST", PATH, {"json": {"tenant": "orderingtenant885"}}, 422, 2),
        ("POST", PATH, {"json": GOOD | {"account_address_id": 9}}, 422, 3),
        ("POST", PATH, {"json": GOOD | {"order_positions": [{"catalog_position_id": 9}]}}, 422, 4),
        ("POST", PATH, {"json": GOOD | {"tenant": "nobody"}}, 403, 5),
    ],
)
@pytest.mark.parametrize("error_status", ["http", "ok"])
def test_every_refusal_is_in_the_envelope_and_nothing_is_stored(
    made, placing, error_status, method, path, sent, status, code
):
    taking(made.resources, error_status)
    answer = made.client.open(path, method=method, **sent)

    assert answer.status_code == (status if error_status == "http" else 200)
    assert errors(answer)[0] == code
    assert placing.placed == []
    if "json" in sent and status in {403, 422}:
        assert answer.json["CreateOrder"]["request"] == sent["json"]
    assert ("Allow" in answer.headers) is (status == 405)


def test_head_has_the_status_and_no_body(made):
    answer = made.client.head(PATH)
    assert (answer.status_code, answer.data) == (405, b"")


@pytest.mark.parametrize("reason", Reason.__args__)
def test_every_refusal_of_the_ledger_has_code_fields_and_a_sentence(made, placing, reason):
    for fields in ({}, {"order_positions.3.catalog_position_id": "{0} {x}\x1b[31m"}):
        placing.refuses = Refused(reason, fields)
        answer = made.client.post(PATH, json=GOOD)
        code, paths = errors(answer)
        text = answer.json["processing_result"]["text"]

        assert 400 <= answer.status_code < 600
        assert "\x1b" not in answer.text
        assert paths == [*(fields or paths)]
        assert all(path in text or path == "_schema" for path in paths)
        assert text.startswith("Order is not created. ")
        assert denied(placing.refuses).code == code


@pytest.mark.parametrize(
    ("exception", "status", "header"),
    [(LedgerUnavailable("x"), 503, True), (RuntimeError("Шевченко"), 500, False)],
)
def test_what_is_our_fault_says_that_it_may_be_sent_again_with_its_key(
    made, placing, exception, status, header
):
    placing.fails = exception
    answer = made.client.post(PATH, json=GOOD)
    assert (answer.status_code, errors(answer)) == (status, (9, []))
    assert ("Retry-After" in answer.headers) is header
    assert "Idempotency-Key" in answer.text
    assert "Шевченко" not in answer.text
    assert answer.json["CreateOrder"]["request"] == GOOD


def test_errors_are_ok_only_where_every_connection_says_so(made):
    taking(made.resources, "ok")
    made.resources.sources["second"] = SimpleNamespace(
        connector=Connector(client=None, has_tenants=True), settings=SimpleNamespace()
    )
    assert made.client.post(PATH, json={}).status_code == 422


def test_one_that_comes_too_often_is_told_so_in_the_envelope(made, gateway, placing, monkeypatch):
    busy = gateway(ORDERBRIDGE_API_KEYS=f"erp:{KEY}", GATEWAY_RATE="2")
    taking(busy.resources)
    counted = []

    def hit(_, item, name):
        counted.append(name)
        return len(counted) <= item.amount

    monkeypatch.setattr("limits.strategies.FixedWindowRateLimiter.hit", hit)
    answers = [busy.client.post(PATH, json=GOOD, headers=bearer(KEY)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert (errors(answers[-1]), answers[-1].headers["Retry-After"]) == ((9, []), "1")
    assert set(counted) == {"createorder:erp"}


def test_a_time_that_the_tenants_clocks_skip_places_nothing(made, placing):
    placing.accounts[2] = Account("k", "k", [5])
    skipped = {"start_date": "2021-03-28 03:30:00", "end_date": "2021-03-28 03:45:00"}
    there = made.client.post(PATH, json=GOOD | skipped)
    answer = made.client.post(PATH, json=GOOD | skipped | {"tenant": "other"})
    assert there.status_code == 200
    assert (answer.status_code, errors(answer)) == (422, (1, ["start_date", "end_date"]))
    assert len(placing.placed) == 1


# --- keys and tenants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{"Authorization": ""}, bearer("wrong"), bearer("")])
def test_who_brings_no_key_is_told_so_by_the_gateway(made, placing, headers):
    answer = made.client.post(PATH, json=GOOD, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json.keys() == {"error", "request_id"}
    assert placing.asked == []


def test_a_key_without_the_scope_places_nothing(made, placing):
    answer = made.client.post(PATH, json=GOOD, headers=bearer(READER))
    assert (answer.status_code, errors(answer)[0]) == (403, 5)
    assert "orders:write" in answer.text
    assert placing.asked == []


def test_nobody_learns_which_tenants_there_are(made, placing):
    """A tenant that is not this key's is as one that there is not."""
    placing.accounts[1].addresses = [1]
    theirs = made.client.post(PATH, json=GOOD, headers=bearer(LIMITED))
    nobody = made.client.post(PATH, json=GOOD | {"tenant": "nobody"})
    own = made.client.post(PATH, json=GOOD | {"tenant": "Other"}, headers=bearer(LIMITED))

    said = [
        (one.status_code, errors(one), one.json["processing_result"]["text"])
        for one in (theirs, nobody)
    ]
    assert said[0] == said[1]
    assert said[0][:2] == (403, (5, ["tenant"]))
    assert own.status_code == 200
    assert len(placing.placed) == 1


@pytest.mark.parametrize("asks", [{}, {"account_id": 77}, {"account_address_id": 5}])
@pytest.mark.parametrize("named", [None, "createorder", "second"])
def test_a_key_of_other_connections_places_nothing_and_is_told_nothing(
    made, gateway, placing, named, asks
):
    placing.tenants = [Tenant(1, "orderingTenant885", "Europe/Minsk", connection=named)]
    built = gateway(ORDERBRIDGE_API_KEYS=f"north:{KEY}:@okliving,own:{OTHER_KEY}:@createorder")
    taking(built.resources)
    theirs = built.client.post(PATH, json=GOOD | asks, headers=bearer(KEY))
    assert (theirs.status_code, errors(theirs)) == (403, (5, ["tenant"]))
    assert placing.placed == []
    own = built.client.post(PATH, json=GOOD, headers=bearer(OTHER_KEY))
    assert own.status_code == (403 if named == "second" else 200)


def test_of_a_tenant_of_another_connection_nothing_is_told(gateway, placing):
    """Also a key that may place orders by one of two connections does not learn who has which accounts."""
    placing.tenants = [Tenant(1, "orderingTenant885", "Europe/Minsk", connection="second")]
    built = gateway(ORDERBRIDGE_API_KEYS=f"own:{OTHER_KEY}:@createorder")
    taking(built.resources)
    bodies = [GOOD, GOOD | {"account_id": 77}, GOOD | {"account_address_id": 5}]
    bodies += [body | {"tenant": "nobody"} for body in bodies]
    answers = [built.client.post(PATH, json=body, headers=bearer(OTHER_KEY)) for body in bodies]
    assert {(a.status_code, str(errors(a))) for a in answers} == {(403, "(5, ['tenant'])")}


@pytest.mark.parametrize(
    ("end", "status"),
    [("2020-07-03 09:16:29", 422), ("2020-07-03 09:16:30", 200), ("2020-07-04 00:00:00", 200)],
)
def test_an_order_that_begins_now_does_not_end_before(made, placing, end, status):
    answer = made.client.post(PATH, json=GOOD | {"end_date": end})
    assert answer.status_code == status
    if status == 422:
        assert errors(answer) == (1, ["end_date"])
        assert placing.placed == []


@pytest.mark.parametrize(("count", "status"), [(1000, 200), (1001, 422)])
def test_an_order_of_more_than_any_amount_is_refused(made, placing, count, status):
    """It would be answered, and nobody could ever send it on."""
    line = {"product_name": "x", "price": 999_999_999, "quantity": count}
    answer = made.client.post(PATH, json=GOOD | {"order_positions": [line]})
    assert answer.status_code == status
    if status == 422:
        assert errors(answer) == (1, ["order_positions"])
        assert placing.placed == []


# --- repeats --------------------------------------------------------------------------------------------


def test_a_repeat_with_its_key_gets_the_identical_answer(made, placing):
    body = json.loads(SAMPLES[-1].read_text())["request"] | {"extra": [1.50, None, "\u202e"]}
    named = {"Idempotency-Key": "order-4711"}
    first = made.client.post(PATH, json=body, headers=named)
    again = made.client.post(PATH, json=dict(reversed(body.items())), headers=named)
    other = made.client.post(PATH, json=body | {"email": ""}, headers=named)

    assert (first.status_code, again.data) == (200, first.data)
    assert (other.status_code, errors(other)) == (409, (1, ["Idempotency-Key"]))
    assert len(placing.placed) == 1
    assert "\u202e" not in first.text


@pytest.mark.parametrize(
    "largest",
    [
        "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1),
        "[" + "1," * (MOST_MARKS - 10) + "1]",
        "1" * 309,
        "1e308",
        "1e-400",
    ],
    ids=["deep", "many", "long", "large", "small"],
)
def test_what_is_just_taken_is_answered_and_repeated(made, placing, largest):
    """What the ledger keeps holds the request and more: it may be beyond what a request may be."""
    body = '{"tenant": "orderingtenant885", "account_id": 1, "x": ' + largest + "}"
    named = {"Idempotency-Key": "k"}
    first, again = (
        made.client.post(PATH, data=body, content_type=JSON, headers=named) for _ in range(2)
    )
    assert (first.status_code, again.data) == (200, first.data)
    assert len(placing.placed) == 1
    assert "x" in from_text(placing.placed[0])["request"], "nor must the way on refuse it"


def test_two_callers_never_meet_in_one_key(made, placing):
    named = {"Idempotency-Key": "k" * 200}
    made.client.post(PATH, json=GOOD, headers=named)
    made.client.post(PATH, json=GOOD, headers=named | bearer(OTHER_KEY))
    keys = [asked.key for asked in placing.asked]
    assert len({*keys}) == len(placing.placed) == 2
    assert all(len(key) <= 200 for key in keys)


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "ключ".encode().decode("latin-1")])
def test_a_key_that_is_none_is_refused_with_all_else_that_is_wrong(made, placing, key):
    answer = made.client.post(PATH, json={"account_id": 1}, headers={"Idempotency-Key": key})
    assert (answer.status_code, errors(answer)) == (422, (1, ["tenant", "Idempotency-Key"]))
    assert placing.asked == []


# --- whatever comes -------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from([*createorder.createorder.OrderSchema().fields])
BODIES = (
    VALUES
    | st.dictionaries(FIELDS, VALUES)
    | st.dictionaries(FIELDS, VALUES).map(lambda d: GOOD | d)
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODIES, form=st.sampled_from([JSON, f"{JSON}; charset=utf-8", "text/plain", ""]))
def test_whatever_is_posted_is_answered_in_the_envelope_and_never_a_fault_of_ours(made, body, form):
    answer = made.client.post(PATH, data=json.dumps(body), content_type=form)
    told(answer)
    assert answer.status_code < 500


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=300), key=st.text(st.characters(codec="latin-1"), max_size=20))
def test_whatever_bytes_are_posted_are_answered_in_the_envelope(made, body, key):
    key = re.sub(r"[\r\n]", "", key)
    answer = made.client.post(PATH, data=body, content_type=JSON, headers={"Idempotency-Key": key})
    told(answer)
    assert answer.status_code < 500
