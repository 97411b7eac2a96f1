"""Accounts, addresses, catalog and orders against a plain model of the contract's rules, in any order.

Source: docs/contracts/createorder.md, "Account resolution".
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tenant_calls import NAME, NOW, add_tenant, everything, place

from ledger.database import open_ledger
from ledger.tenants import AskedOrder, AskedPosition, Placed, Refused, Repeated, loading
from ledger.tenants.comparing import Difference, Listed

NAMES = st.sampled_from(["Anna", "anna", "Anna ", "Борис", ""])
EXTERNAL = st.sampled_from(["1", "A", "a", "01", ""])
IDS = st.integers(0, 4)
AMOUNTS = st.sampled_from([Decimal(one) for one in ("0", "0.1", "0.3", "23.10", "1E+2", "0.001")])


@dataclass
class Account:
    name: str
    external: str | None
    addresses: list = field(default_factory=list)


@dataclass
class Model:
    """The rules once more, as the contract has them, over dictionaries."""

    creates: bool
    policy: str
    accounts: dict = field(default_factory=dict)
    owners: dict = field(default_factory=dict)
    catalog: dict = field(default_factory=dict)
    orders: list = field(default_factory=list)
    keys: dict = field(default_factory=dict)

    def answer(self, asked):
        """The reason why it is refused, or the order."""
        if asked.key is not None and asked.key in self.keys:
            return "repeated" if self.keys[asked.key] == asked.digest else "key_reused"
        found = self._account(asked)
        if isinstance(found, str):
            return found
        address = self._address(asked, found)
        if isinstance(address, str):
            return address
        ids = [one.catalog_position_id for one in asked.positions]
        if any(one is not None and one not in self.catalog for one in ids):
            return "catalog_not_found"
        if found is None:
            found, address = self.add(asked.customer_name, asked.external_customer_id, 1)
        if asked.key is not None:
            self.keys[asked.key] = asked.digest
        lines = [self._line(one) for one in asked.positions]
        total = sum((price * quantity for price, quantity in lines), Decimal(0))
        self.orders.append((found, address, total, len(lines)))
        return (len(self.orders), found, address, total)

    def _account(self, asked):
        if asked.account_id is not None:
            return asked.account_id if asked.account_id in self.accounts else "account_not_found"
        if not asked.external_customer_id and not asked.customer_name:
            return "account_unsaid"
        if asked.external_customer_id:
            fits = [n for n, a in self.accounts.items() if a.external == asked.external_customer_id]
        else:
            fits = [n for n, a in self.accounts.items() if a.name == asked.customer_name]
        if len(fits) > 1:
            return "account_ambiguous"
        if fits:
            return fits[0]
        creates = self.creates if asked.creates_account is None else asked.creates_account
        if not creates:
            return "account_not_found"
        has_all = asked.external_customer_id and asked.customer_name
        return None if has_all else "account_incomplete"

    def _address(self, asked, account):
        if asked.account_address_id is not None:
            is_its = account is not None and self.owners.get(asked.account_address_id) == account
            return asked.account_address_id if is_its else "address_not_found"
        if account is None:
            return None
        own = self.accounts[account].addresses
        if len(own) == 1:
            return own[0]
        return "address_needed" if self.policy == "one" else None

    def _line(self, one):
        price, quantity = self.catalog.get(one.catalog_position_id, (Decimal(0), Decimal(1)))
        return (
            price if one.price is None else one.price,
            quantity if one.quantity is None else one.quantity,
        )

    def add(self, name, external, addresses):
        number = max(self.accounts, default=0) + 1
        own = [max(self.owners, default=0) + 1 + n for n in range(addresses)]
        self.accounts[number] = Account(name, external, own)
        self.owners |= dict.fromkeys(own, number)
        return number, own[0] if own else None


class Tenant(RuleBasedStateMachine):
    """`file` is an empty ledger, to be copied."""

    file: Path

    @initialize(creates=st.booleans(), policy=st.sampled_from(["one", "optional"]))
    def begin(self, creates, policy):
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(self.file, f"{self.folder.name}/ledger.db")
        self.ledger = open_ledger(f"sqlite:///{path}")
        self.pk = add_tenant(self.ledger, creates_accounts=creates, address_policy=policy)
        self.model = Model(creates, policy)

    def teardown(self):
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()

    @rule(name=NAMES.filter(bool), external=EXTERNAL, addresses=st.integers(0, 2))
    def load_account(self, name, external, addresses):
        """A new one, with so many addresses; one that is there is loaded as it is."""
        values = {"customer_name": name, "is_loaded": True}
        values |= {"external_customer_id": external} if external else {}
        texts = [Listed(f"a{n}", None, {"text": f"street {n}"}) for n in range(addresses)]
        listed = [Listed("x", None, values, texts)]
        found = Difference()
        loading.compare(self.ledger, self.pk, listed, [], found)
        fits = [
            a
            for a in self.model.accounts.values()
            if (a.external == external if external else a.name == name)
        ]
        assert bool(found.mistakes) == (len(fits) > 1)
        if fits:
            return
        assert [change.before for change in found.changes] == [None] * (1 + addresses)
        assert loading.keep(self.ledger, self.pk, listed, [], found.seal())
        self.model.add(name, external or None, addresses)

    @rule(price=AMOUNTS, quantity=AMOUNTS)
    def load_position(self, price, quantity):
        number = len(self.model.catalog) + 1
        values = {"product_name": f"p{number}", "position_type": "Goods", "unit": "шт",
                  "default_quantity": quantity, "price": price, "product_code": ""}  # fmt: skip
        listed = [Listed("p", None, values)]
        found = Difference()
        loading.compare(self.ledger, self.pk, [], listed, found)
        assert loading.keep(self.ledger, self.pk, [], listed, found.seal())
        self.model.catalog[number] = (price, quantity)

    @rule(
        keys=st.fixed_dictionaries(
            {},
            optional={
                "account_id": IDS,
                "external_customer_id": EXTERNAL,
                "customer_name": NAMES,
                "creates_account": st.booleans(),
                "account_address_id": IDS,
                "key": st.sampled_from(["k1", "k2"]),
                "digest": st.sampled_from(["d1", "d2"]),
            },
        ),
        positions=st.lists(
            st.tuples(st.none() | IDS, st.none() | AMOUNTS, st.none() | AMOUNTS), max_size=3
        ),
    )
    def order(self, keys, positions):
        lines = tuple(
            AskedPosition(
                catalog_position_id=number,
                product_name=None if number else "p",
                price=price if number else price or Decimal(1),
                quantity=quantity,
            )
            for number, price, quantity in positions
        )
        asked = AskedOrder(tenant=NAME, positions=lines, **keys)
        before = everything(self.ledger)
        expected = self.model.answer(asked)
        found = place(self.ledger, asked, now=NOW)
        if isinstance(expected, str):
            reason = found.reason if isinstance(found, Refused) else "repeated"
            assert isinstance(found, Refused | Repeated)
            assert reason == expected
            assert everything(self.ledger) == before
            return
        assert isinstance(found, Placed)
        assert (found.order_id, found.account_id, found.account_address_id, found.total) == expected
        assert str(found.total) == str(expected[3])

    @invariant()
    def is_as_the_model_says(self):
        if not hasattr(self, "ledger"):
            return
        rows = everything(self.ledger)
        kept = {r["account_id"]: (r["customer_name"], r["external_customer_id"])
                for r in rows["accounts"]}  # fmt: skip
        assert kept == {n: (a.name, a.external) for n, a in self.model.accounts.items()}
        owners = {r["account_address_id"]: r["account_id"] for r in rows["account_addresses"]}
        assert owners == self.model.owners
        placed = sorted(rows["placed_orders"], key=lambda r: r["order_id"])
        assert [r["order_id"] for r in placed] == list(range(1, len(self.model.orders) + 1))
        assert [r["total"] for r in placed] == [total for *_, total, _ in self.model.orders]
        positions = sorted(r["position_id"] for r in rows["placed_positions"])
        assert positions == list(range(1, 1 + sum(one[3] for one in self.model.orders)))
        assert len(rows["orders"]) == len(self.model.orders)


def machine(migrated_file):
    return type("OfThisFile", (Tenant,), {"file": migrated_file})


QUICK = settings(
    max_examples=25,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_no_request_half_applies_whatever_came_before(migrated_file):
    run_state_machine_as_test(machine(migrated_file), settings=QUICK)


@pytest.mark.long
def test_no_request_half_applies_in_very_many_histories(migrated_file):
    many = settings(QUICK, max_examples=500, stateful_step_count=40, derandomize=False)
    run_state_machine_as_test(machine(migrated_file), settings=many)
