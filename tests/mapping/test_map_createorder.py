"""An order that a tenant posts: what is read of it, what is refused by its path, the answer made of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import createorder
from mapping.createorder import OrderSchema, PositionSchema, times_that_are_not
from mapping.createorder_answer import answer_of, error_of, new_ctx_id, said, source_text
from mapping.exact_json import read as from_json

NOW = datetime(2020, 7, 3, 6, 16, 30, tzinfo=UTC)
BARE = {"tenant": "zegoal", "account_id": 1}
OWN = {"product_name": "position #2", "price": Decimal("200.5")}


def read(**fields):
    asked, errors = createorder.read(BARE | fields)
    assert not errors, errors
    return asked


def errors_of(raw):
    asked, errors = createorder.read(raw)
    assert (asked is None) is bool(errors)
    return errors


# --- what is read ---------------------------------------------------------------------------------------


def test_what_is_not_said_has_its_default():
    asked = read()
    assert (asked.start_date, asked.end_date, asked.order_type) == (None, "", "")
    assert (asked.order_status, asked.order_positions, asked.create_account) == ("Draft", (), None)
    assert (asked.tel_num, asked.email, asked.address_text, asked.order_description) == ("",) * 4


@pytest.mark.parametrize("name", [name for name in OrderSchema().fields if name != "tenant"])
def test_null_is_as_good_as_not_said(name):
    asked = read(**{name: None})
    plain, _ = createorder.read({k: v for k, v in BARE.items() if k != name})
    assert {**as_dict(asked), "raw": 0} == {**as_dict(plain), "raw": 0}


def as_dict(asked):
    return {name: getattr(asked, name) for name in asked.__dataclass_fields__}


@pytest.mark.parametrize(
    "name",
    [
        "external_customer_id",
        "customer_name",
        "start_date",
        "end_date",
        "order_type",
        "tel_num",
        "email",
        "address_text",
        "order_description",
        "order_status",
    ],
)
@pytest.mark.parametrize("empty", ["", "  ", "\u200b"])
def test_an_empty_text_is_the_default(name, empty):
    if name.endswith("_date") and empty:
        assert list(errors_of(BARE | {name: empty})) == [name]
    else:
        assert getattr(read(**{name: empty}), name) == getattr(read(), name)


@pytest.mark.parametrize(
    ("name", "given", "read_as"),
    [
        ("external_customer_id", 2, "2"),
        ("external_customer_id", "2", "2"),
        ("external_customer_id", " 2 ", "2"),
        ("external_customer_id", Decimal(10**25), "1" + "0" * 25),
        ("customer_name", " NewClient_1\u200b", "NewClient_1"),
        ("order_description", "a\r\n\tb\u202e", "a\r\n\tb"),
        ("account_id", 2**63 - 1, 2**63 - 1),
        ("account_id", Decimal("7.0"), 7),
        ("create_account", False, False),
        ("start_date", "2024-02-29 00:00:00", "2024-02-29 00:00:00"),
        ("order_status", "In Progress", "In Progress"),
    ],
)
def test_a_field_is_read(name, given, read_as):
    assert getattr(read(**{name: given}), name) == read_as


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        (0, "0"),
        (30, "30"),
        (Decimal("200.50"), "200.5"),
        (Decimal("0E-900"), "0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("999999999.999999"), "999999999.999999"),
        (Decimal("1.00000000000000000000"), "1"),
    ],
)
def test_a_price_is_read_exactly(given, read_as):
    (position,) = read(order_positions=[OWN | {"price": given}]).order_positions
    assert position.price == Decimal(read_as)


def test_a_position_of_the_catalog_needs_nothing_else_and_what_is_said_beside_it_counts():
    one, two = read(
        order_positions=[
            {"catalog_position_id": 4, "unit": "", "product_code": None},
            {"catalog_position_id": 4, "price": 0, "product_name": "Own"},
        ]
    ).order_positions
    assert one == createorder.PositionRequest(catalog_position_id=4)
    assert (two.price, two.product_name, two.quantity) == (0, "Own", None)


def test_unknown_fields_are_let_by_and_kept_as_they_came():
    asked = read(position_total=1, order_positions=[OWN | {"extra": {"a": [None]}}])
    assert asked.raw["position_total"] == 1
    assert asked.raw["order_positions"][0]["extra"] == {"a": [None]}


# --- what is refused ------------------------------------------------------------------------------------

ID = [0, -1, 2**63, "1", "", True, False, Decimal("1.5"), Decimal("1e999999"), [], {}, [1]]
DATES = [
    "2020-02-30 00:00:00",
    "2021-02-29 00:00:00",
    "2020-13-01 00:00:00",
    "2020-07-03 24:00:00",
    "2020-07-03 23:59:60",
    "2020-07-03",
    "2020-07-03T09:19:58",
    "2020-07-03 09:19:58+03:00",
    "2020-07-03 09:19:58Z",
    "2020-07-03 9:19:58",
    " 2020-07-03 09:19:58",
    "2020-07-03 09:19:58\n",
    "２０２０-07-03 09:19:58",
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
    1593757198,
    True,
    [],
]
CONTROLS = ["a\x00b", "\x1b[31m", "a\x7f", "a\x9b", "\ud800", "\ufffe"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("tenant", v)
            for v in ["", " ", "a b", "x" * 41, "тенант", "a\n", 1, True, [], {}, "a/b"]
        ),
        *((name, v) for name in ("account_id", "account_address_id") for v in ID),
        *(
            ("external_customer_id", v)
            for v in [True, Decimal("1.5"), Decimal("7.0"), "x" * 101, [], Decimal(10**100)]
        ),
        *(("create_account", v) for v in ["true", 1, 0, "", [], "yes"]),
        *((name, v) for name in ("start_date", "end_date") for v in DATES),
        *(("customer_name", v) for v in ["x" * 256, 1, [], {}, True, "a\nb", "a\tb", "a\u2028b"]),
        *(("order_type", v) for v in ["x" * 65, 1, *CONTROLS]),
        *(("order_status", v) for v in ["x" * 65, 1, *CONTROLS]),
        *(("tel_num", v) for v in ["1" * 65, 380671234567, "+380\n"]),
        *(("email", v) for v in ["x" * 255, 1, "a@b\r\nBcc: c"]),
        *(("address_text", v) for v in ["x" * 1001, 1, *CONTROLS]),
        *(("order_description", v) for v in ["x" * 4001, 1, *CONTROLS]),
        *(("order_positions", v) for v in [{}, "[]", 1, True, [{}] * 501]),
    ],
)
def test_a_field_of_another_form_is_refused_by_its_path(name, value):
    assert list(errors_of(BARE | {name: value})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("catalog_position_id", v) for v in ID),
        *(("price", v) for v in ["200.5", True, -1, Decimal("-0.01"), 10**9, [], {}]),
        *(("price", v) for v in map(Decimal, ["0.0000001", "1e-999999999", "1e999999999"])),
        *(("quantity", v) for v in ["1", True, -1, 0, Decimal("0.0"), Decimal("0E-99"), 10**9]),
        *(("quantity", v) for v in [Decimal("0.0000001"), []]),
        *(("unit", v) for v in ["x" * 33, 1, "a\nb", *CONTROLS]),
        *(("position_type", v) for v in ["x" * 65, 1, *CONTROLS]),
        *(("product_name", v) for v in ["x" * 501, 1, True, "a\nb", *CONTROLS]),
        *(("product_code", v) for v in ["x" * 65, 6205, *CONTROLS]),
        *(("description", v) for v in ["x" * 4001, 1, *CONTROLS]),
        *(("implementation_comments", v) for v in ["x" * 4001, 1, *CONTROLS]),
    ],
)
def test_a_positions_field_of_another_form_is_refused_by_its_path(name, value):
    positions = [OWN, OWN | {name: value}]
    assert list(errors_of(BARE | {"order_positions": positions})) == [f"order_positions.1.{name}"]


@pytest.mark.parametrize("raw", [None, [], [BARE], "{}", 1, True, Decimal("1.5")])
def test_what_is_no_object_is_refused_as_a_whole(raw):
    assert list(errors_of(raw)) == ["_schema"]


@pytest.mark.parametrize("position", [None, [], "x", 1])
def test_a_position_that_is_no_object_is_refused_by_its_place(position):
    assert list(errors_of(BARE | {"order_positions": [OWN, position]})) == ["order_positions.1"]


@pytest.mark.parametrize(
    ("position", "paths"),
    [
        ({}, ["product_name", "price"]),
        ({"catalog_position_id": None}, ["product_name", "price"]),
        ({"price": 1}, ["product_name"]),
        ({"price": 1, "product_name": " "}, ["product_name"]),
        ({"product_name": "x"}, ["price"]),
        ({"product_name": "x", "price": None}, ["price"]),
        ({"product_name": "x", "price": "1"}, ["price"]),
        ({"price": -1}, ["price", "product_name"]),
    ],
)
def test_without_a_catalog_position_name_and_price_are_needed(position, paths):
    found = errors_of(BARE | {"order_positions": [position]})
    assert {*found} == {f"order_positions.0.{path}" for path in paths}
    assert all(len(texts) == 1 for texts in found.values())


@pytest.mark.parametrize(
    ("start", "end", "good"),
    [
        ("2020-07-03 09:00:00", "2020-07-03 09:00:00", True),
        ("2020-07-03 09:00:00", "2020-07-03 08:59:59", False),
        ("", "2000-01-01 00:00:00", True),
        (None, "2000-01-01 00:00:00", True),
        ("2020-07-03 09:00:00", "", True),
    ],
)
def test_an_order_does_not_end_before_it_begins_where_both_are_said(start, end, good):
    errors = errors_of(BARE | {"start_date": start, "end_date": end})
    assert list(errors) == ([] if good else ["end_date"])


@pytest.mark.parametrize(
    ("text", "zone", "there"),
    [
        ("2021-03-28 03:30:00", "Europe/Kyiv", False),
        ("2021-03-28 04:00:00", "Europe/Kyiv", True),
        ("2021-03-28 03:30:00", "Europe/Minsk", True),
        ("2021-10-31 03:30:00", "Europe/Kyiv", True),  # twice
        ("2021-03-14 02:30:00", "America/New_York", False),
        ("2011-12-30 12:00:00", "Pacific/Apia", False),  # a day that there never was
        ("2099-12-31 23:59:59", "Pacific/Kiritimati", True),
        ("2000-01-01 00:00:00", "Etc/GMT+12", True),
    ],
)
def test_a_time_that_the_clocks_skip_is_none(text, zone, there):
    for name in ("start_date", "end_date"):
        found = times_that_are_not(read(**{"start_date": text, name: text}), zone, NOW)
        assert (name in found) is not there


def test_of_thousands_of_errors_the_first_are_told_and_how_many_there_are():
    errors = errors_of(BARE | {"order_positions": [{"unit": 1}] * 500})
    assert len(errors) == createorder.MOST_ERRORS + 1
    assert errors["_schema"] == ["There are 1450 more errors."]
    assert said(errors).endswith("And 46 more, see errors.")


def test_each_field_says_its_form_in_its_error():
    for schema in (OrderSchema, PositionSchema):
        for name, one in schema().fields.items():
            assert one.form
            raw = (
                {name: object()}
                if schema is OrderSchema
                else {"order_positions": [{name: object()}]}
            )
            errors = errors_of(BARE | raw)
            path = name if schema is OrderSchema else f"order_positions.0.{name}"
            assert errors[path] == [f"Must be {one.form}."]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from([*OrderSchema().fields])
POSITION = st.dictionaries(st.sampled_from([*PositionSchema().fields]), JSON)
LIKE_AN_ORDER = st.dictionaries(NAMES, JSON | st.lists(POSITION, max_size=3))


@given(JSON | LIKE_AN_ORDER)
def test_reading_any_json_never_fails(raw):
    asked, errors = createorder.read(raw)
    assert (asked is None) is bool(errors)
    assert all(isinstance(text, str) for texts in errors.values() for text in texts)


# --- the answer -----------------------------------------------------------------------------------------


@dataclass
class Tenant:
    name: str = "Zegoal"
    zone: str = "Europe/Minsk"


@dataclass
class Position:
    price: Decimal
    quantity: Decimal
    position_id: int = 7
    catalog_position_id: int | None = None
    position_type: str = "Goods"
    product_name: str = "position #2"
    product_code: str = ""
    unit: str = "шт"


@dataclass
class Placed:
    positions: list
    tenant: Tenant = field(default_factory=Tenant)
    name: str = "Zegoal-5"
    order_id: int = 5
    order_num: int = 6
    account_id: int = 1
    account_address_id: int | None = 2
    customer_name: str = "NewClient_1"
    creates_account: bool = True
    address_text: str = "a big white building"

    @property
    def total(self):
        with localcontext(prec=60):
            return sum((one.price * one.quantity for one in self.positions), Decimal(0))


def kept(asked, *positions):
    return source_text(asked, Placed([*positions]), now=NOW, ctx_id="37GMTPLL:0-dP")


def test_what_the_ledger_keeps_is_what_the_profile_reads():
    found = json.loads(
        kept(read(end_date="", tel_num="1"), Position(Decimal("200.50"), Decimal(1)))
    )
    assert {name: found[name] for name in ("id", "number", "placed_at", "tenant", "TZ")} == {
        "id": "Zegoal-5",
        "number": "6",
        "placed_at": "2020-07-03T09:16:30+03:00",
        "tenant": "Zegoal",
        "TZ": "Europe/Minsk",
    }
    assert found["processing_date"] == found["order"]["start_date"] == "2020-07-03 09:16:30"
    assert found["request"] == BARE | {"end_date": "", "tel_num": "1"}
    assert "tel_num" not in found["defaults"]
    assert "end_date" not in found["defaults"]
    assert found["defaults"]["tenant"] == "Zegoal"
    assert [*found["order"]["order_positions"][0]] == [
        *("unit", "quantity", "product_name", "price", "position_type", "position_id", "order_id")
    ]


AMOUNTS = st.decimals(min_value=0, max_value=Decimal("999999999.999999"), places=6)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs", "Cn"]), max_size=30
)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=20))
def test_the_total_is_the_sum_of_price_times_quantity_to_the_last_digit(amounts):
    source = kept(read(), *(Position(price, quantity) for price, quantity in amounts))
    order = from_json(answer_of(source))["CreateOrder"]["response"]["order"]
    with localcontext(prec=80):
        total = sum((Decimal(p) * Decimal(q) for p, q in amounts), Decimal(0))
        lines = [Decimal(one["price"]) * one["quantity"] for one in order["order_positions"]]
        assert order["order_total"] == total == sum(lines, Decimal(0))
    assert not re.search(r"\.\d*0[,}\]]", json.dumps(source))


@given(TEXTS, st.dictionaries(TEXTS, JSON))
def test_the_answer_is_made_of_what_is_kept_alone_and_echoes_the_request(text, extra):
    raw = {f"x{name}": value for name, value in extra.items()} | BARE | {"order_description": text}
    asked, errors = createorder.read(raw)
    assert not errors
    source = kept(asked)
    answer = from_json(answer_of(source))["CreateOrder"]

    assert answer_of(source) == answer_of(source)
    assert answer["request"] == raw
    assert {
        name: answer["enriched_request"][name]
        for name in raw
        if name not in answer_defaults(source)
    } == {name: raw[name] for name in raw if name not in answer_defaults(source)}
    assert answer["response"]["tenant"] == "zegoal"
    assert answer["enriched_request"]["tenant"] == "Zegoal"


def answer_defaults(source):
    return from_json(source)["defaults"]


def test_a_ctx_id_is_random_and_of_the_samples_form():
    made = {new_ctx_id() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[0-9A-Za-z]{8}:0-[0-9A-Za-z]{2}", one) for one in made)


def test_an_error_has_the_shape_of_an_answer():
    good = json.loads(answer_of(kept(read())))
    told, ctx_id = error_of("Order is not created.", 1, {"a": ["b"]}, None, now=NOW)
    bad = json.loads(told)
    assert bad.keys() == good.keys()
    assert bad["CreateOrder"].keys() == good["CreateOrder"].keys()
    assert bad["processing_result"] == {
        "text": "Order is not created.",
        "status": "error",
        "ctx_id": ctx_id,
        "code": 1,
    }
    assert bad["CreateOrder"]["response"] == {"errors": {"a": ["b"]}}
