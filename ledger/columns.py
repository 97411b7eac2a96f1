"""Columns that mean the same on both databases: aware moments, exact amounts, keys that count up, null
refused or not.

In and out: aware datetimes, finite Decimals; a time without a zone and what is no number are refused with
ValueError. Used by ledger/tables and by the migrations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

# That of all tables.
METADATA = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on SQLite (which keeps no offset) as on PostgreSQL."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime]:
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a zone was given to the ledger.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Exact(TypeDecorator[Decimal]):
    """An amount, digit by digit as it was given: as text, since SQLite knows no decimal numbers."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        if not value.is_finite():
            raise ValueError("What is no number was given to the ledger as an amount.")
        return str(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


# Compared byte by byte, so that an index finds what begins alike.
SearchKey = String(64).with_variant(String(64, collation="C"), "postgresql")
Key = BigInteger().with_variant(Integer, "sqlite")

# What an order is found by, as mapping/search writes it.
FOUND_BY = ("number", "tracking", "phone", "name", "buyer_phone", "buyer_name")

must = partial(Column, nullable=False)
may = partial(Column, nullable=True)
