"""Tenants who place orders with us: their accounts, addresses, catalog and order numbers.

In: orders as asked for, and what a file says of tenants. Out: placed orders, which stand among all orders of
the ledger as well, written in one transaction. Raises `LedgerUnavailable`. Called by desk/placing,
desk/loading and tasks/resources. Source: docs/contracts/createorder.md.
"""

from ledger.tenants.placing import Entered, Route, look, place
from ledger.tenants.resolving import addressee
from ledger.tenants.words import (
    ADDRESS_POLICIES,
    LONGEST_EXTERNAL_ID,
    LONGEST_KEY,
    LONGEST_NAME,
    Addressee,
    AddressPolicy,
    AskedOrder,
    AskedPosition,
    Placed,
    Position,
    Refused,
    Repeated,
    Tenant,
)

__all__ = [
    "ADDRESS_POLICIES",
    "LONGEST_EXTERNAL_ID",
    "LONGEST_KEY",
    "LONGEST_NAME",
    "AddressPolicy",
    "Addressee",
    "AskedOrder",
    "AskedPosition",
    "Entered",
    "Placed",
    "Position",
    "Refused",
    "Repeated",
    "Route",
    "Tenant",
    "addressee",
    "look",
    "place",
]
