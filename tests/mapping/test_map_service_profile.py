"""The shipped profile of CreateOrder services: a shop's order as the command, numbers as JSON has them."""

import copy
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profiles import FOLDER, SOURCE, written

from clients.bodies import as_json
from mapping.fields import plain_money
from mapping.profile import join, load_source, load_target
from mapping.target import Context, FormError, compile_form

SERVICE = FOLDER / "createorder-service.yaml"
GOLDEN = Path(__file__).parent / "golden" / "reference-service-order.json"


def loaded(source=SOURCE, **parameters):
    target = load_target(SERVICE, {"tenant": "acme"} | parameters)
    return join(load_source(source), target, "okl-")


@pytest.fixture(scope="module")
def service():
    return loaded()


def test_the_reference_order_becomes_exactly_this_command(service, reference):
    mapped = service.map(reference)
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert mapped.target == golden
    assert json.loads(as_json(mapped.target)) == golden
    assert not mapped.held
    assert mapped.external_id == "okl-300167757"


def total(command):
    return sum(
        Decimal(str(p["price"])) * Decimal(str(p["quantity"])) for p in command["order_positions"]
    )


@pytest.mark.parametrize("cost", ["70.00", "0", "0.10"])
def test_the_lines_add_up_to_the_order(service, reference, cost):
    reference["shipping"]["cost"] = cost
    reference["total"] = str(Decimal("1179.00") + Decimal(cost))
    command = service.map(reference).target
    assert total(command) == Decimal(reference["total"])
    assert len(command["order_positions"]) == (1 if cost == "0" else 2)


def test_without_a_recipient_the_buyer_is_the_customer_and_stands_there_once(service, reference):
    reference["recipient"] = None
    command = service.map(reference).target
    assert command["customer_name"] == "Шевченко Олена"
    assert (command["tel_num"], command["email"]) == ("+380671234567", "o@ukr.net")
    assert "Покупець" not in command["order_description"]


def test_the_first_line_names_the_order_and_the_last_ones_are_the_comment(service, reference):
    reference |= {"number": "OK-5", "note": "Дзвоніть\nпісля 18"}
    reference["payment"]["paid"] = True
    lines = service.map(reference).target["order_description"].split("\n")
    assert lines[0] == "Замовлення №OK-5 (OK Living), okl-300167757"
    assert lines[1:3] == ["Сума: 1249.00 UAH", "Оплата: Післяплата, оплачено"]
    assert lines[-2:] == ["Дзвоніть", "після 18"]


def test_what_an_order_does_not_say_is_left_out(service, reference):
    for name in ("created_at", "payment", "note"):
        reference.pop(name, None)
    reference["shipping"] = {"cost": "70.00"}
    command = service.map(reference).target
    assert not {"start_date", "address_text", "email", "order_type"} & set(command)


def test_times_are_the_sources(service, reference):
    reference["created_at"] = "2026-11-21T08:15:00Z"
    assert service.map(reference).target["start_date"] == "2026-11-21 10:15:00"


def test_without_a_tenant_nothing_is_sent(reference):
    mapped = loaded(tenant=None).map(reference)
    assert (mapped.target, mapped.reasons) == (None, ["target_field_missing"])


@pytest.mark.parametrize("phone", ["", "123", "немає"])
def test_without_a_phone_it_is_held_as_for_any_target(service, reference, phone):
    reference["recipient"]["phone"] = phone
    assert service.map(reference).target is None


def test_where_nobody_checks_a_person_without_phone_is_an_account_for_each_order(
    reference, tmp_path
):
    lax = written(tmp_path, SOURCE, lambda profile: profile["recipient"].update(check=False))
    service, other = loaded(lax), copy.deepcopy(reference)
    reference["recipient"]["phone"] = other["recipient"]["phone"] = ""
    other["id"] = "8"
    ids = [service.map(raw).target["external_customer_id"] for raw in (reference, other)]
    assert ids == ["okl-300167757", "okl-8"]


def test_a_person_is_never_known_by_more_than_services_keep(service, reference):
    for name in ("first_name", "last_name", "middle_name"):
        reference["recipient"][name] = "А" + "б" * 35
    command = service.map(reference).target
    assert command["external_customer_id"] == "okl-300167757"
    reference["recipient"].pop("middle_name")
    assert 80 < len(service.map(reference).target["external_customer_id"]) <= 100


def test_a_currency_is_never_lost(service, reference):
    reference["currency"] = "USD"
    assert "1249.00 USD" in service.map(reference).target["order_description"]


# Numbers


def number(value, problems=None):
    form = compile_form({"number": "note"}, "target.price", Context({}, {}))
    return form({"note": value}, [] if problems is None else problems)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=0, max_value=10**12 - 1)
)
def test_money_is_the_number_that_its_text_says(amount):
    text = plain_money(amount)
    assert (
        Decimal(json.loads(as_json({"n": number(text)}), parse_float=str, parse_int=str)["n"])
        == amount
    )


@pytest.mark.parametrize(
    ("text", "written_as"),
    [
        ("1249.00", b"1249"),
        ("200.50", b"200.5"),
        ("0.00", b"0"),
        ("0.10", b"0.1"),
        (3, b"3"),
        ("1.5", b"1.5"),
        ("999999999999.99", b"999999999999.99"),
        ("1.123456789012345678901", b"1.123456789012345678901"),
    ],
)
def test_a_number_is_written_with_each_of_its_digits(text, written_as):
    assert as_json(number(text)) == written_as


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_no_number(value):
    assert number(value) is None


@pytest.mark.parametrize("value", ["A-7", "NaN", "Infinity", True, [], {"a": 1}, "1e9", "1,249"])
def test_what_is_no_number_holds_the_order(value):
    problems = []
    assert number(value, problems) is None
    assert [(p.code, p.level, p.field) for p in problems] == [("unreadable", "held", "price")]


def test_a_number_needs_a_path():
    with pytest.raises(FormError, match="a path is text"):
        compile_form({"number": 5}, "target.price", Context({}, {}))
