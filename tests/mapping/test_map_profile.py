"""The shipped profile: keys, times, pages, hashes, and orders that become processes or are held."""

import contextlib
import copy
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import OF_THE_TARGET, SOURCE, TARGET, joined, written

from mapping.order import Person
from mapping.problems import codes
from mapping.profile import ProfileError, UnknownShape, load_source, load_target
from mapping.yamlfile import read_yaml

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just("\ud800")
    | st.just(2**80),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


def deep(depth):
    bomb = []
    for _ in range(depth):
        bomb = [bomb, {"a": bomb}][:1] if depth % 2 else {"a": bomb}
    return bomb


# The straight path


def test_the_reference_order_becomes_exactly_this_process(profile, reference, golden):
    mapped = profile.map(reference)
    assert mapped.target == golden
    assert json.loads(json.dumps(mapped.target)) == golden
    assert not mapped.held
    assert [problem.code for problem in mapped.fixed] == ["phone_fixed"]
    assert (mapped.order_id, mapped.external_id) == ("300167757", "okl-300167757")


def test_lines_and_sum_of_the_process_agree(profile, reference):
    body = profile.map(reference).target
    summed = sum(Decimal(p["price"]) * p["count"] for p in body["products"])
    assert summed == Decimal(body["sum"])


def test_the_canonical_order_holds_money_as_decimal_and_times_as_utc(profile, reference):
    order = profile.map(reference).order
    assert order.total == Decimal("1249.00")
    assert order.created_at == datetime(2026, 11, 21, 8, 15, tzinfo=UTC)
    assert order.recipient == Person("Іван", "Д'яченко", phone="0501234567")
    assert order.buyer.phone == "+380671234567"


def test_mapping_leaves_the_raw_order_as_it_was(profile, reference):
    before = copy.deepcopy(reference)
    profile.map(reference)
    assert reference == before


def test_recipient_and_buyer_stay_apart(profile, reference):
    body = profile.map(reference).target
    assert body["clientname"] == "Д'яченко Іван"
    assert body["clientphone"] == "+380501234567"
    assert body["client"]["phones"] == ["+380671234567"]
    assert "clientemail" not in body


@pytest.mark.parametrize(
    "absent",
    [None, {}, [], False, "", {"first_name": "", "phone": None, "is_other": False}, "missing"],
)
def test_without_a_recipient_the_buyer_is_the_recipient(profile, reference, absent):
    if absent == "missing":
        del reference["recipient"]
    else:
        reference["recipient"] = absent
    body = profile.map(reference).target
    assert body["clientname"] == "Шевченко Олена"
    assert body["clientphone"] == "+380671234567"
    assert body["clientemail"] == "o@ukr.net"


@pytest.mark.parametrize(
    "recipient",
    [
        {"first_name": "", "phone": "", "is_other": True},
        {"fullname": "Іван Дяченко", "telephone": "0501234567"},
        {"first_name": "Іван", "last_name": "Дяченко", "phone": ""},
        "Іван Дяченко 0501234567",
        ["Іван", "Дяченко"],
        5,
    ],
)
def test_a_recipient_that_is_named_but_not_readable_never_becomes_the_buyer(
    profile, reference, recipient
):
    reference["recipient"] = recipient
    mapped = profile.map(reference)
    assert mapped.held
    assert mapped.target is None
    assert "+380671234567" not in str((mapped.draft or {}).get("clientphone"))


def test_a_bad_buyer_never_holds(profile, reference):
    reference["customer"] = {"first_name": "тест", "last_name": "", "phone": "123", "email": False}
    mapped = profile.map(reference)
    assert not mapped.held
    assert "client" not in mapped.target
    assert [problem.code for problem in mapped.warnings] == ["buyer_phone_unusable"]


def test_the_note_carries_what_was_cut(profile, reference):
    reference["note"] = "Подзвонити"
    reference["recipient"]["phone"] = "0501234567 (Viber), 0671112233"
    reference["recipient"]["first_name"] = "Іван (брат)"
    assert profile.map(reference).target["comments"] == "Подзвонити\nбрат; Viber, 0671112233"


def test_free_shipping_adds_no_line(profile, reference):
    reference["shipping"]["cost"] = 0
    reference["total"] = 1179
    assert len(profile.map(reference).target["products"]) == 1


def test_address_delivery_is_one_line(profile, reference):
    reference["shipping"] |= {
        "warehouse": None,
        "warehouse_number": None,
        "street": "вул. Нова",
        "house": 5,
        "flat": "7",
        "zip": 1001,
    }
    assert (
        profile.map(reference).target["clientaddress"] == "1001, м. Київ, вул. Нова, буд. 5, кв. 7"
    )


# Sloppy but clear


def sloppy(order):
    order["id"] = 300167757
    order["total"] = "1 249,00"
    order["do_not_call"] = "0"
    order["customer"]["email"] = False
    order["customer"]["phone"] = 380671234567
    order["recipient"]["is_other"] = 1
    order["recipient"] |= {"first_name": "", "last_name": "", "name": "Д'яченко Іван"}
    order["shipping"]["cost"] = 70
    order["shipping"]["warehouse_number"] = 12
    order["payment"]["paid"] = 0
    order["items"] = {"1": order["items"][0] | {"id": 1, "quantity": "1.0", "price": 1179.0}}
    del order["items"]["1"]["total"]
    order["unknown"] = {"nested": [1]}
    return order


def test_sloppy_but_clear_values_make_the_same_process(profile, reference, golden):
    mapped = profile.map(sloppy(reference))
    assert mapped.reasons == []
    assert mapped.target == golden


@pytest.mark.parametrize(
    ("quantity", "price", "total", "unit"),
    [
        (3, "100.00", "270.00", "90.00"),
        (3, None, "100.00", "33.333"),
        (2, "50", None, "50.00"),
        ("0.5", "10.01", "5.00", "10.01"),
        (1, "-5", "-5", "-5.00"),
    ],
)
def test_a_price_is_per_unit_and_gives_the_line_total(
    profile, reference, quantity, price, total, unit
):
    line = {"sku": "X", "name": "Y", "quantity": quantity, "price": price, "total": total}
    reference["items"].append(line)
    amount = Decimal(total) if total else Decimal(price) * quantity
    reference["total"] = str(Decimal("1249.00") + amount)
    mapped = profile.map(reference)
    assert mapped.reasons == []
    assert mapped.target["products"][1]["price"] == unit
    assert round(Decimal(unit) * Decimal(str(quantity)), 2) == round(amount, 2)


@given(st.decimals("0.01", "99999.99", places=2), st.integers(1, 999))
def test_any_line_total_is_met_by_price_times_quantity(total, quantity):
    raw = {"id": "1", "total": str(total), "items": [{"sku": "A", "quantity": quantity, "total": str(total)}],
           "recipient": {"name": "Дяченко Іван", "phone": "0501234567"}}  # fmt: skip
    product = CACHED.map(raw).target["products"][0]
    assert abs(Decimal(product["price"]) * quantity - total) < Decimal("0.005")


CACHED = joined()


# Held, with a reason


def change(path, value):
    def apply(order):
        *outer, last = path
        place = order
        for key in outer:
            place = place[key]
        place[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "reason", "field"),
    [
        (["total"], "1250.00", "total_mismatch", "total"),
        (["total"], None, "field_missing", "total"),
        (["total"], "NaN", "unreadable", "total"),
        (["total"], float("inf"), "unreadable", "total"),
        (["total"], "-1249.00", "unreadable", "total"),
        (["total"], [], "unreadable", "total"),
        (["items"], None, "field_missing", "lines"),
        (["items"], "Чайник", "unreadable", "lines"),
        (["items"], [], "field_missing", "lines"),
        (["items"], {}, "field_missing", "lines"),
        (["items"], 5, "unreadable", "lines"),
        (["items", 0], None, "unreadable", "lines[0]"),
        (["items", 0], "Чайник", "unreadable", "lines[0]"),
        (["items", 0, "quantity"], -1, "unreadable", "lines[0].quantity"),
        (["items", 0, "quantity"], "NaN", "unreadable", "lines[0].quantity"),
        (["items", 0, "quantity"], float("nan"), "unreadable", "lines[0].quantity"),
        (["items", 0, "quantity"], None, "field_missing", "lines[0].quantity"),
        (["items", 0, "price"], "Infinity", "unreadable", "lines[0].price"),
        (["items", 0, "name"], "a\x00", "control_characters", "lines[0].name"),
        (["shipping"], "Нова Пошта", "unreadable", "shipping"),
        (["shipping", "cost"], -5, "unreadable", "shipping.cost"),
        (["payment"], ["cod"], "unreadable", "payment"),
        (["note"], "я" * 100_000, "note_too_long", "note"),
        (["note"], "a\x07", "control_characters", "note"),
        (["note"], ["a"], "unreadable", "note"),
        (["recipient", "first_name"], "Іван\x00", "control_characters", "recipient.first"),
        (["recipient", "first_name"], "\ud800", "control_characters", "recipient.first"),
        (["recipient", "phone"], "050\x001234567", "control_characters", "recipient.phone"),
        (["recipient", "phone"], {"number": 1}, "unreadable", "recipient.phone"),
        (["recipient", "phone"], "", "recipient_phone_missing", "recipient.phone"),
        (["recipient", "phone"], "123", "recipient_phone_unusable", "recipient.phone"),
        (["recipient", "last_name"], None, "recipient_name_one_word", "recipient.name"),
        (["recipient", "is_other"], "maybe", "unreadable", "recipient_is_other"),
        (["do_not_call"], 7, "unreadable", "do_not_call"),
    ],
)
def test_what_cannot_be_read_is_held_with_its_field(profile, reference, path, value, reason, field):
    change(path, value)(reference)
    mapped = profile.map(reference)
    assert mapped.held
    assert mapped.target is None
    assert mapped.order_id == "300167757"
    assert [(p.code, p.field) for p in mapped.problems if p.level == "held"] == [(reason, field)]
    json.dumps([p.to_dict() for p in mapped.problems]).encode()
    for problem in mapped.problems:
        (problem.before or "").encode()


def test_every_unreadable_field_is_named_at_once(profile, reference):
    reference["total"] = "x"
    reference["items"][0]["quantity"] = -1
    assert {p.field for p in profile.map(reference).problems} == {"total", "lines[0].quantity"}


def test_a_total_within_a_kopeck_is_right(profile, reference):
    reference["total"] = "1249.01"
    assert not profile.map(reference).held
    reference["total"] = "1249.02"
    mapped = profile.map(reference)
    assert mapped.reasons == ["total_mismatch"]
    assert (mapped.problems[-1].before, mapped.problems[-1].after) == ("1249.02", "1249.00")
    assert mapped.draft["sum"] == "1249.02"


def test_a_nonsense_date_is_left_out_with_a_warning(profile, reference):
    reference["created_at"] = "0000-00-00 00:00:00"
    mapped = profile.map(reference)
    assert "date" not in mapped.target
    assert [p.code for p in mapped.warnings] == ["time_unreadable"]


@given(JSON)
def test_no_json_value_makes_mapping_fail(raw):
    mapped = CACHED.map(raw)
    assert mapped.held
    assert mapped.target is None
    assert {*mapped.reasons} <= codes()
    CACHED.content_hash(raw)
    CACHED.stamp(raw)
    key = CACHED.key(raw)
    assert mapped.order_id == key
    assert CACHED.key({"id": key}) == key


REFERENCE = json.loads(
    (Path(__file__).parent / "golden/reference-order.json").read_text(encoding="utf-8")
)
PATHS = [(key,) for key in REFERENCE] + [
    (outer, inner) for outer, value in REFERENCE.items() if isinstance(value, dict) for inner in value
] + [("items", 0), *(("items", 0, key) for key in REFERENCE["items"][0])]  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from(PATHS), JSON)
def test_no_value_anywhere_in_an_order_makes_mapping_fail(path, value):
    raw = copy.deepcopy(REFERENCE)
    change(path, value)(raw)
    mapped = CACHED.map(raw)
    if mapped.target is not None:
        assert mapped.target["clientphone"].startswith("+380")
        json.dumps(mapped.target, allow_nan=False, ensure_ascii=False).encode()
    assert {problem.code for problem in mapped.problems} <= codes()
    CACHED.content_hash(raw)


@pytest.mark.parametrize(
    "place", ["id", "note", "items", "recipient", "customer", "shipping", "extra"]
)
@pytest.mark.parametrize("depth", [100, 3001])
def test_depth_bombs_are_survived(profile, reference, place, depth):
    bomb = deep(depth)
    reference[place] = bomb
    assert profile.map(reference).held or place in {"extra", "customer"}
    assert len(profile.content_hash(reference)) == 32


# Keys, stamps, hashes


@pytest.mark.parametrize(
    "raw", [None, 5, "x", [], {}, {"id": None}, {"id": True}, {"id": {}}, {"id": ""}]
)
def test_what_has_no_id_has_no_key(profile, raw):
    assert profile.key(raw) is None
    mapped = profile.map(raw)
    assert mapped.order_id is None
    assert mapped.external_id is None
    assert mapped.held


def test_the_stamp_is_the_time_of_change_in_utc(profile, reference):
    assert profile.stamp(reference) == datetime(2026, 11, 21, 8, 15, tzinfo=UTC)
    assert profile.stamp({"id": 1}) is None
    assert profile.stamp("x") is None


def test_the_hash_knows_no_order_of_keys_but_every_change(profile, reference):
    items = list(reference.items())
    random.Random(1).shuffle(items)
    assert profile.content_hash(dict(items)) == profile.content_hash(reference)
    assert len(profile.content_hash(reference)) == 32
    assert profile.content_hash(reference | {"note": "x"}) != profile.content_hash(reference)


@given(JSON, JSON)
def test_hashes_of_odd_values_are_stable(one, other):
    odd = {"a": one, "b": 2**70, "c": other}
    assert CACHED.content_hash(odd) == CACHED.content_hash(dict(reversed(odd.items())))
    assert CACHED.content_hash(odd) != CACHED.content_hash(odd | {"b": 2**71})


# The poll


def test_the_poll_asks_in_shop_time(profile):
    start = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    end = datetime(2026, 11, 21, 11, 0, tzinfo=timezone(timedelta(hours=2)))
    assert profile.poll_body(start, end, 2) == {
        "args": {
            "filter": {"updated_at": {"from": "2026-11-21 10:00:00", "to": "2026-11-21 11:00:00"}},
            "page": 2,
            "limit": 100,
        }
    }


@given(st.integers(0, 172_800), st.integers(0, 7200))
def test_a_poll_never_starts_after_what_it_means(moment, seconds):
    start = datetime(2026, 10, 24, tzinfo=UTC) + timedelta(seconds=moment)
    body = CACHED.poll_body(start, start + timedelta(seconds=seconds), 1)
    text = body["args"]["filter"]["updated_at"]["from"]
    for fold in (0, 1):
        shop = datetime.fromisoformat(text).replace(tzinfo=CACHED.zone, fold=fold)
        assert shop.astimezone(UTC) <= start


ORDERS = [{"id": "1"}, {"id": 2}]


@pytest.mark.parametrize(
    "answer",
    [
        ORDERS,
        {"orders": ORDERS},
        {"data": ORDERS},
        {"result": {"orders": ORDERS}},
        {"response": {"orders": ORDERS}},
        {"1": ORDERS[0], "2": ORDERS[1]},
        {"orders": {"1": ORDERS[0], "2": ORDERS[1]}},
        {"data": {"orders": ORDERS}},
        {"data": {"1": ORDERS[0], "2": ORDERS[1]}},
    ],
)
def test_every_envelope_is_opened(profile, answer):
    assert profile.page(answer).orders == ORDERS


@pytest.mark.parametrize(
    "answer", [[], {"orders": []}, {"data": []}, {"result": {"orders": []}}, {"orders": {}}]
)
def test_an_empty_page_is_fine(profile, answer):
    assert profile.page(answer).orders == []


def test_one_bad_order_does_not_hide_the_page(profile):
    assert profile.page({"orders": [None, 5, {"id": "1"}]}).orders == [None, 5, {"id": "1"}]
    assert profile.page({"1": {"id": "1"}, "2": None}).orders == [{"id": "1"}, None]


@pytest.mark.parametrize(
    "answer",
    [{}, None, "", "<html></html>", 5, True, {"orders": None}, {"orders": "x"}, {"errors": []},
     {"error": "x"}, {"data": {"token": "x"}}, {"result": {}}, {"status": 1}, {"orders": {"a": 1}}],
)  # fmt: skip
def test_an_unknown_shape_is_loud(profile, answer):
    with pytest.raises(UnknownShape):
        profile.page(answer)


@given(JSON)
def test_a_page_is_found_or_the_shape_is_unknown(answer):
    with contextlib.suppress(UnknownShape):
        assert isinstance(CACHED.page(answer).orders, list)


@pytest.mark.parametrize(
    ("paging", "read"),
    [
        ({"page": 1, "pages": 3, "total": 250}, (1, 3, 250)),
        ({"page": "1", "pages": "3"}, (1, 3, None)),
        ({}, (None, None, None)),
        ({"page": None, "pages": -1, "total": "x"}, (None, None, None)),
        ({"pages": 2.5, "total": True, "page": float("nan")}, (None, None, None)),
    ],
)
def test_page_numbers_are_read_where_they_are(profile, paging, read):
    for answer in ({"orders": [], **paging}, {"result": {"orders": [], **paging}}):
        page = profile.page(answer)
        assert (page.page, page.pages, page.total) == read


# Loading


def edited(tmp_path, edit):
    """Both files edited as if they were one, and joined again."""

    def part(of_target):
        def edit_part(profile):
            both = read_yaml(TARGET) | read_yaml(SOURCE)
            edit(both)
            profile.clear()
            profile |= {
                n: v for n, v in both.items() if n == "name" or (n in OF_THE_TARGET) == of_target
            }

        return edit_part

    return joined(
        written(tmp_path, SOURCE, part(of_target=False)),
        written(tmp_path, TARGET, part(of_target=True)),
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["oder"], {}, "oder"),
        (["source", "timezone"], "x", "source.timezone"),
        (["source", "time_zone"], "Europe/Kyivv", "source.time_zone"),
        (["source", "time_zone"], "../etc", "source.time_zone"),
        (["source", "poll", "body"], {"a": "{strat}"}, "source.poll.body"),
        (["source", "poll", "limit"], 0, "source.poll.limit"),
        (["order", "total"], "a[", "order.total"),
        (["order", "total"], 5, "order.total"),
        (["order", "surname"], "a", "order.surname"),
        (["order", "buyer", "surname"], "a", "order.buyer.surname"),
        (["order", "id"], None, "order.id"),
        (["recipient", "foreign_phone"], "maybe", "recipient.foreign_phone"),
        (["recipient", "colour"], "red", "recipient.colour"),
        (["target", "name"], {"template": "№{order.nummer}"}, "target.name"),
        (["target", "name"], {"template": "№{order.id"}, "target.name"),
        (["target", "name"], {"template": "№{}"}, "target.name"),
        (["target", "name"], {"from": "order.nummer"}, "target.name.from"),
        (["target", "name"], {"from": "a["}, "target.name.from"),
        (["target", "name"], {"from": 5}, "target.name.from"),
        (["target", "name"], {"form": "order.id"}, "target.name"),
        (["target", "name"], {"from": "order.id", "constant": 1}, "target.name"),
        (["target", "name"], {"from": "order.id", "colour": 1}, "colour"),
        (["target", "name"], "order.id", "target.name"),
        (["target", "paymentid"], {"lookup": "payments", "from": "payment.code"}, "payments"),
        (["target", "paymentid"], {"lookup": "payment"}, "target.paymentid"),
        (["target", "paymentid"], {"lookup": [1], "from": "payment.code"}, "target.paymentid"),
        (["target", "products"], {"list": 5}, "target.products"),
        (["target", "products"], {"fields": 5}, "target.products"),
        (
            ["target", "products"],
            {"list": [{"fields": {"a": {"from": "item.x"}}}]},
            "target.products[0].a.from",
        ),
        (["target", "workflowid"], {"parameter": 5}, "target.workflowid"),
    ],
)
def test_a_mistake_in_a_profile_names_file_and_key(tmp_path, path, value, said):
    with pytest.raises(ProfileError) as caught:
        edited(tmp_path, change(path, value))
    assert ("onebox.yaml" if path[0] in OF_THE_TARGET else "okliving.yaml") in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "name: x", "\x00"])
@pytest.mark.parametrize("load", [load_source, load_target])
def test_what_is_no_profile_is_refused(tmp_path, load, text):
    path = tmp_path / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"shop\.yaml"):
        load(path)


@pytest.mark.parametrize("load", [load_source, load_target])
def test_a_missing_file_is_refused(tmp_path, load):
    with pytest.raises(ProfileError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(("load", "other"), [(load_source, TARGET), (load_target, SOURCE)])
def test_the_file_of_the_other_side_is_refused(load, other):
    with pytest.raises(ProfileError, match=other.name):
        load(other)


def test_what_empty_tables_leave_out_is_no_finding_on_the_order_and_is_told_beside(
    tmp_path, reference
):
    def edit(profile):
        profile["lookups"] = {"payment": {}, "delivery": None, "currency": {"UAH": 1}, "item": {}}
        profile["target"]["x"] = {"lookup": "payment", "from": "payment.code", "default": "9"}
        products = profile["target"]["products"]["list"][0]["fields"]
        products["sku_id"] = {"lookup": "item", "from": "item.sku"}

    made = edited(tmp_path, edit)
    mapped = made.map(reference)
    assert (mapped.warnings, mapped.held) == ([], False)
    told = {(p.detail, p.field, p.before) for p in mapped.left_out}
    skus = {("item", "products[0].sku_id", item["sku"]) for item in reference["items"]}
    assert (
        told == {("payment", "paymentid", "cod"), ("delivery", "deliveryid", "novaposhta")} | skus
    )
    assert made.target.empty_tables == {"payment", "delivery", "item"}


def test_lookups_fill_warn_or_hold(tmp_path, reference):
    def edit(profile):
        profile["lookups"]["payment"] = {"card": 2, "cod": 1}
        profile["lookups"]["delivery"] = {"ukrposhta": 1}
        profile["target"]["x"] = {"lookup": "delivery", "from": "shipping.carrier", "default": "9"}

    mapped = edited(tmp_path, edit).map(reference)
    assert mapped.target["paymentid"] == 1
    assert mapped.target["x"] == "9"
    assert "deliveryid" not in mapped.target
    assert [(p.code, p.field) for p in mapped.warnings] == [("lookup_missing", "deliveryid")]

    def require(profile):
        profile["target"]["deliveryid"]["required"] = True

    mapped = edited(tmp_path, require).map(reference)
    assert mapped.reasons == ["target_field_missing"]
    assert mapped.target is None


def test_parameters_fill_their_fields_or_leave_them_out(reference):
    body = joined(parameters={"workflow_id": "5", "source_id": "8"}).map(reference).target
    assert (body["workflowid"], body["sourceid"]) == ("5", "8")
    assert "statusid" not in body


def test_a_profile_says_where_the_orders_are(tmp_path):
    def edit(profile):
        profile["source"]["page"] = {"orders": "a.list", "pages": "a.meta.pages"}

    profile = edited(tmp_path, edit)
    page = profile.page({"a": {"list": [1], "meta": {"pages": 7}}})
    assert (page.orders, page.pages) == ([1], 7)
    with pytest.raises(UnknownShape):
        profile.page({"orders": []})


def test_recipient_checks_are_the_profiles_choice(tmp_path, reference):
    def edit(profile):
        profile["recipient"] = {"check": False}

    reference["recipient"]["phone"] = ""
    mapped = edited(tmp_path, edit).map(reference)
    assert not mapped.held
    assert "clientphone" not in mapped.target


def test_a_target_field_may_be_any_jmespath(tmp_path, reference):
    def edit(profile):
        profile["target"]["content"] = {"from": "join(', ', lines[].sku)"}
        profile["target"]["late"] = {"from": "order.id", "when": "payment.code == 'cod'"}

    body = edited(tmp_path, edit).map(reference).target
    assert (body["content"], body["late"]) == ("SKU-1", "300167757")
