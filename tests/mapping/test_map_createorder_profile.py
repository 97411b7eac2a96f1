"""The profile of orders that are placed with us: what becomes of them, and what a profile may leave out."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from profiles import FOLDER, SOURCE, joined, written

from mapping.order import Person
from mapping.profile import ProfileError, load_source
from mapping.recipient import prepare
from mapping.recipient_rules import Rules

GOLDEN = Path(__file__).parent / "golden"
SHIPPED = FOLDER / "createorder.yaml"
PARAMETERS = {"workflow_id": "3", "status_id": "17", "source_id": None}
EVERYBODY = Rules(one_word_name="warning", company_name="warning")


@pytest.fixture(scope="module")
def placed():
    return joined(SHIPPED, prefix="co-", parameters=PARAMETERS)


@pytest.fixture
def order():
    return json.loads((GOLDEN / "createorder-order.json").read_text(encoding="utf-8"))


def test_a_placed_order_becomes_exactly_this_process(placed, order):
    golden = json.loads((GOLDEN / "createorder-process.json").read_text(encoding="utf-8"))
    before = copy.deepcopy(order)
    mapped = placed.map(order)
    assert mapped.target == golden
    assert json.loads(json.dumps(mapped.target)) == golden
    assert (mapped.order_id, mapped.external_id) == (order["id"], f"co-{order['id']}")
    assert order == before


def test_the_time_with_its_tenants_offset_is_kept_as_that_moment(placed, order):
    assert placed.map(order).order.created_at == datetime(2026, 11, 21, 7, 15, tzinfo=UTC)
    assert placed.map(order).target["date"] == "2026-11-21 09:15:00"


def test_who_orders_is_who_gets_it(placed, order):
    mapped = placed.map(order)
    assert mapped.order.recipient == mapped.order.buyer
    assert not mapped.order.recipient_is_other


def products(mapped):
    return [one["productinfo"]["externalid"] for one in mapped.target["products"]]


def test_the_same_code_or_position_of_two_tenants_names_two_products(placed, order):
    other = copy.deepcopy(order) | {"tenant": "another", "id": "another-5"}
    assert set(products(placed.map(order))).isdisjoint(products(placed.map(other)))


def test_the_same_code_of_one_tenant_names_one_product_in_all_its_orders(placed, order):
    later = copy.deepcopy(order) | {"id": "orderingTenant885-6"}
    first, second = products(placed.map(order)), products(placed.map(later))
    assert first[0] == second[0]
    assert first[1] != second[1]  # a position without a code is its order's own


def test_a_position_of_the_catalog_without_a_code_is_one_product_in_all_orders(placed, order):
    made = []
    for number in ("5", "6"):
        other = copy.deepcopy(order) | {"id": f"orderingTenant885-{number}"}
        line = other["order"]["order_positions"][0]
        del line["product_code"]
        line |= {"catalog_position_id": 4, "position_id": int(number)}
        made.append(placed.map(other).target["products"][0]["productinfo"]["externalid"])
    assert made == ["co-orderingTenant885/catalog-4"] * 2


def test_a_tenants_code_never_names_a_product_of_a_shop(placed, order, profile, reference):
    for line in order["order"]["order_positions"]:
        line["product_code"] = reference["items"][0]["sku"]
    assert set(products(placed.map(order))).isdisjoint(products(profile.map(reference)))


@pytest.mark.parametrize("lines", [None, [], {}])
def test_an_order_without_positions_goes_as_the_line_that_the_profile_names(placed, order, lines):
    order["order"] |= {"order_positions": lines, "order_total": 0}
    mapped = placed.map(order)
    assert not mapped.held
    (line,) = mapped.target["products"]
    assert (line["name"], line["count"], line["price"]) == ("Замовлення без позицій", 1, "0.00")
    assert mapped.target["sum"] == "0.00"


@pytest.mark.parametrize("lines", [None, [], {}])
def test_an_order_without_positions_is_held_where_the_profile_names_no_line(tmp_path, order, lines):
    left = written(tmp_path, SHIPPED, lambda one: one.pop("empty_order_line"))
    order["order"] |= {"order_positions": lines, "order_total": 0}
    assert joined(left, prefix="co-").map(order).reasons == ["no_lines"]


def test_a_source_may_have_no_positions_at_all(tmp_path, order):
    bare = written(tmp_path, SHIPPED, lambda one: one["order"].pop("lines"))
    order["order"]["order_total"] = 0
    assert not joined(bare, prefix="co-").map(order).held


def test_the_line_for_none_does_not_hide_a_total(placed, order):
    order["order"]["order_positions"] = []
    assert placed.map(order).reasons == ["total_mismatch"]


def test_a_mistake_in_the_positions_is_not_taken_for_none(placed, order):
    order["order"]["order_positions"] = "many"
    assert placed.map(order).reasons == ["unreadable"]


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("NewClient_1", "NewClient_1"),
        ("Ромашка", "Ромашка"),
        ("ТОВ «Ромашка-плюс»", "ТОВ «Ромашка-плюс»"),
        ("  ТОВ   Ромашка \u200b", "ТОВ Ромашка"),
        ("Іваненко Іван", "Іваненко Іван"),
    ],
)
def test_names_of_one_word_and_of_companies_go_as_they_were_typed(placed, order, typed, full):
    order["order"]["customer_name"] = typed
    mapped = placed.map(order)
    assert not mapped.held
    assert mapped.target["clientname"] == full


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "recipient_name_missing"),
        ("—", "recipient_name_missing"),
        ("— !", "recipient_name_missing"),
        ("test", "recipient_name_filler"),
    ],
)
def test_a_name_that_says_nothing_is_held_all_the_same(placed, order, typed, reason):
    order["order"]["customer_name"] = typed
    assert reason in placed.map(order).reasons


@pytest.mark.parametrize("phone", ["", None, "0012232211", "11122233344455", "1112223334"])
def test_an_unusable_or_missing_phone_still_holds(placed, order, phone):
    order["request"]["tel_num"] = phone
    assert placed.map(order).held


@pytest.mark.parametrize("name", ["Ромашка", "ТОВ Ромашка", "ТОВ «Ромашка плюс»", "NewClient_1"])
def test_without_the_rules_such_names_are_held_as_ever(name):
    assert prepare(Person(full=name, phone="0671234567"), Rules()).held
    assert not prepare(Person(full=name, phone="0671234567"), EVERYBODY).held


def test_a_person_is_prepared_alike_under_both_rules():
    person = Person(full="іваненко ІВАН Петрович", phone="0671234567")
    assert prepare(person, EVERYBODY) == prepare(person, Rules())


def test_a_source_that_is_not_read_cannot_be_asked(placed):
    assert load_source(SHIPPED).asked is None
    with pytest.raises(ValueError, match="poll is missing"):
        _ = placed.limit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda one: one["empty_order_line"].update(name=""), "empty_order_line.name"),
        (lambda one: one["empty_order_line"].update(nmae="x"), "empty_order_line.nmae"),
        (lambda one: one.update(empty_order_line={}), "empty_order_line.name"),
        (lambda one: one["recipient"].update(one_word_name="maybe"), "recipient.one_word_name"),
        (lambda one: one["recipient"].update(company_name=True), "recipient.company_name"),
        (lambda one: one["order"].pop("buyer"), "order.buyer"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path, edit, said):
    with pytest.raises(ProfileError) as caught:
        load_source(written(tmp_path, SHIPPED, edit))
    assert "createorder.yaml" in str(caught.value)
    assert said in str(caught.value)


def test_a_shop_that_is_read_still_misses_its_positions_as_a_field(tmp_path, reference):
    reference["items"] = []
    assert joined(SOURCE).map(reference).reasons == ["field_missing"]
