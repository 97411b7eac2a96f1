"""What desk.placing.place does, in memory: tenants, accounts, addresses, a catalog, numbers.

For the tests of the door, which is to be right whatever the ledger says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

from connectors.ports import Connector
from ledger.orders import Due
from ledger.tenants import Placed, Position, Refused, Repeated, Tenant


@dataclass
class Account:
    name: str
    external: str
    addresses: list[int] = field(default_factory=list)


@dataclass
class StandIn:
    """`fails` is raised in place of placing; `twice` runs the transaction a second time."""

    tenants: list[Tenant]
    catalog: dict[int, Position] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=lambda: [3, 7])
    fails: Exception | None = None
    refuses: Refused | None = None
    twice: bool = False
    kept: dict[str, tuple[str, str]] = field(default_factory=dict)
    placed: list[str] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)

    def place(self, r, asked, text, *, now, ring, admit):
        self.asked.append(asked)
        if self.fails is not None:
            raise self.fails
        if self.refuses is not None:
            return self.refuses
        tenant = next((t for t in self.tenants if t.name.lower() == asked.tenant.lower()), None)
        if tenant is None:
            return Refused("tenant_unknown", {"tenant": asked.tenant})
        admit(tenant)
        if asked.key in self.kept:
            digest, source = self.kept[asked.key]
            return Repeated(source) if digest == asked.digest else Refused("key_reused")
        account = self._account(asked)
        if isinstance(account, Refused):
            return account
        text(Placed(tenant, 0, 0, *account, "", True, ()))
        positions = [self._position(one) for one in asked.positions]
        for place, one in enumerate(positions):
            if one is None:
                given = str(asked.positions[place].catalog_position_id)
                path = f"order_positions.{place}.catalog_position_id"
                return Refused("catalog_not_found", {path: given})
        order_id, first = self.numbers
        placed = Placed(
            tenant,
            order_id,
            order_id,
            *account,
            self.accounts[account[0]].name,
            tenant.creates_accounts if asked.creates_account is None else asked.creates_account,
            tuple(
                Position(first + place, *one) for place, one in enumerate(filter(None, positions))
            ),
        )
        source = text(placed)
        if self.twice:
            source = text(placed)
        self.placed.append(source)
        if asked.key is not None:
            self.kept[asked.key] = asked.digest, source
        self.numbers = [order_id + 1, first + len(positions)]
        ring([Due(order_id, "createorder", "onebox")])
        return placed

    def _account(self, asked):
        found, named = self._found(asked)
        if not named:
            return Refused("account_unsaid")
        if len(found) > 1:
            return Refused("account_ambiguous", named)
        if found:
            return self._with_address(found[0], asked)
        if asked.account_id or asked.creates_account is False:
            return Refused("account_not_found", named)
        if not (asked.customer_name and asked.external_customer_id):
            return Refused("account_incomplete", {"external_customer_id": ""})
        number = max(self.accounts, default=0) + 1
        self.accounts[number] = Account(asked.customer_name, asked.external_customer_id, [number])
        return number, number

    def _found(self, asked):
        named = {}
        found = []
        if asked.account_id is not None:
            found = [asked.account_id] if asked.account_id in self.accounts else []
            named = {"account_id": str(asked.account_id)}
        elif asked.external_customer_id is not None:
            found = [
                n for n, a in self.accounts.items() if a.external == asked.external_customer_id
            ]
            named = {"external_customer_id": asked.external_customer_id}
        elif asked.customer_name is not None:
            found = [n for n, a in self.accounts.items() if a.name == asked.customer_name]
            named = {"customer_name": asked.customer_name}
        return found, named

    def _with_address(self, number, asked):
        addresses = self.accounts[number].addresses
        if asked.account_address_id is None:
            return (number, *addresses) if len(addresses) == 1 else Refused("address_needed")
        if asked.account_address_id not in addresses:
            return Refused(
                "address_not_found", {"account_address_id": str(asked.account_address_id)}
            )
        return number, asked.account_address_id

    def _position(self, one):
        known = self.catalog.get(one.catalog_position_id)
        if one.catalog_position_id is not None and known is None:
            return None

        def said(name, default):
            own = getattr(one, name)
            return own if own is not None else getattr(known, name) if known else default

        return (
            one.catalog_position_id,
            said("position_type", ""),
            said("product_name", ""),
            said("product_code", ""),
            said("quantity", Decimal(1)),
            said("unit", "шт"),
            said("price", Decimal(0)),
        )


def taking(resources, error_status="http"):
    """A connection by which tenants place orders."""
    connector = Connector(client=None, has_tenants=True)
    own = SimpleNamespace(error_status=error_status)
    resources.sources["createorder"] = SimpleNamespace(connector=connector, settings=own)


def of_the_seed():
    """The tenant of the text's samples, as it was before them."""
    goods = {
        1: ("position #552", "3", "23.1"),
        2: ("position #340", "3", "23.1"),
        3: ("position #296", "2", "50"),
        4: ("position #612", "2", "30.000000"),
    }
    return StandIn(
        [Tenant(1, "orderingTenant885", "Europe/Minsk"), Tenant(2, "other", "Europe/Kyiv")],
        {
            number: Position(0, number, "Goods", name, "", Decimal(count), "шт", Decimal(price))
            for number, (name, count, price) in goods.items()
        },
        {1: Account("NewClient_1", "1", [1])},
    )
