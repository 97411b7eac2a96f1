"""Empty look-up tables are said with what orders ask of them; where none is empty, no order is read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from profiles import joined

from mapping.unfilled import LOOKED_AT, MOST_CODES, UnfilledTable, unfilled_tables
from simulator.samples import reference_order

PROFILE = joined(parameters={"workflow_id": "1", "status_id": "1"})


def newest(*raws):
    def read(source, most):
        assert (source, most) == ("shop", LOOKED_AT)
        return [raw if isinstance(raw, str) else json.dumps(raw) for raw in raws]

    return read


def paid(code):
    return reference_order(payment={"code": code}, shipping={"carrier": ""}, currency="")


def test_orders_without_codes_leave_nothing_out():
    assert unfilled_tables({"shop": PROFILE}, newest(paid(""), paid(None))) == []


def test_each_table_is_told_once_with_its_orders_and_the_first_of_its_codes():
    raws = [paid(f"code{n // 2}") for n in range(2 * MOST_CODES + 2)]
    assert unfilled_tables({"shop": PROFILE}, newest(*raws, paid(""))) == [
        UnfilledTable(
            source="shop",
            name="payment",
            field="paymentid",
            codes=tuple(f"code{n}" for n in range(MOST_CODES)),
            orders=len(raws),
            of=len(raws) + 1,
            path="onebox.yaml",
        )
    ]


def test_profiles_without_an_empty_table_read_no_orders():
    full = replace(PROFILE, target=replace(PROFILE.target, empty_tables=frozenset()))

    def read(*_):
        pytest.fail("orders were read")

    assert unfilled_tables({"shop": full}, read) == []


@pytest.mark.parametrize("text", ["[]", "17", "null", "{}", '"text"'])
def test_what_is_no_order_asks_nothing(text):
    assert unfilled_tables({"shop": PROFILE}, newest(text)) == []
