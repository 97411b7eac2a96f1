"""Columns that mean the same on both databases: aware moments, keys that count up, null refused or not.

In and out: aware datetimes; one without a zone is refused with ValueError. Used by ledger/tables and by the
migrations.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
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


# Compared byte by byte, so that an index finds what begins alike.
SearchKey = String(64).with_variant(String(64, collation="C"), "postgresql")
Key = BigInteger().with_variant(Integer, "sqlite")

# What an order is found by, as mapping/search writes it.
FOUND_BY = ("number", "tracking", "phone", "name", "buyer_phone", "buyer_name")

must = partial(Column, nullable=False)
may = partial(Column, nullable=True)
