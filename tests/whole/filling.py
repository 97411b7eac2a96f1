"""Fills a ledger as years of work and an outage leave it: most is done, half of the rest is due.

In: a migrated ledger and a number of orders. Out: that many orders, queues, updates, attempts and hook
calls, made by the database itself (a million in about a minute). Used by the plan test and
bench/scale.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from ledger.database import Ledger

# All that ended has ended within this, one row in a hundred before it, as the nightly purge finds it.
RETENTION_DAYS = 180
DAY = 86_400
BATCH = 50_000

# Each table with its columns as SQL: `n` is the row's number, `{ago:X}` the moment X seconds ago, `{all}`
# how many rows there are.
TABLES: dict[str, dict[str, str]] = {
    "orders": {
        "id": "n",
        "connection": "'okliving'",
        "order_id": "'f' || n",
        "target": "'onebox'",
        "external_id": "'okl-f' || n",
        "source": "{order}",
        "content_hash": "'0123456789abcdef0123456789abcdef'",
        "shop_updated_at": "{ago:age}",
        "received_at": "{ago:age}",
        "state": "CASE WHEN n % 10 < 5 THEN 'created' WHEN n % 10 < 9 THEN 'waiting'"
        " WHEN n % 20 < 10 THEN 'held' ELSE 'received' END",
        "reason": "CASE WHEN n % 1000 = 5 THEN 'shadow' WHEN n % 10 >= 5 THEN 'crm_unavailable'"
        " ELSE '' END",
        "wanted_hash": "'0123456789abcdef0123456789abcdef'",
        "sent_hash": "CASE WHEN n % 10 < 5 THEN '0123456789abcdef0123456789abcdef' END",
        "shadow": "CASE WHEN n % 1000 = 5 THEN {true} ELSE {false} END",
        "target_id": "CASE WHEN n % 10 < 5 THEN 'p' || n END",
        "state_at": "CASE WHEN n % 10 < 5 THEN {ago:age} ELSE {ago:3600.0 + n % 86400} END",
        "tries": "n % 5",
        "next_try_at": "CASE WHEN n % 2 = 0 THEN {ago:n % 3600} ELSE {ago:-600.0 - n % 3600} END",
        "lookups": "0",
        "check_at": "CASE WHEN n % 10 < 5 AND n > {all} * 9 / 10 THEN {ago:n % 3600 - 1800.0} END",
        # One order in fifty is of the most frequent surname.
        "name": "CASE WHEN n % 50 = 0 THEN 'shevchenko olena' ELSE 'n' || n || ' ivan' END",
        "phone": "CAST(1000000 + n % 9000000 AS VARCHAR) || '05083'",
        "tracking": "CASE WHEN n % 10 < 5 THEN '2045' || n END",
    },
    "update_queues": {
        "connection": "'okliving'",
        "order_id": "'f' || n",
        "last_seq": "1",
        "open": "CASE WHEN n % 2 = 0 THEN {true} ELSE {false} END",
        "next_try_at": "CASE WHEN n % 4 = 0 THEN {ago:n % 3600} ELSE {ago:-600.0 - n % 3600} END",
        "tries": "0",
        "known": '(CASE WHEN n % 2 = 1 THEN \'{{"states": {{"order": "open"}}, "certain": [],'
        ' "tracking_number": null}}\' END){json}',
        "known_at": "CASE WHEN n % 2 = 1 THEN {ago:age} END",
    },
    "updates": {
        "id": "n",
        "connection": "'okliving'",
        "order_id": "'f' || n",
        "seq": "1",
        "key": "'onebox:okl-f' || n || ':Shipped:'",
        "digest": "'0123456789abcdef'",
        "origin": "'onebox'",
        "accepted_at": "{ago:age}",
        "parts": "(CASE WHEN n % 2 = 0 OR n % 5 = 1 THEN"
        ' \'{{"note": {{"value": "Call before delivery, please.", "personal": true,\''
        ' ELSE \'{{"order": {{"value": "process",\' END || \' "state": "\''
        " || CASE WHEN n % 2 = 0 THEN 'left' WHEN n % 100 = 1 THEN 'parked' ELSE 'sent' END"
        " || '\"}}}}'){json}",
        "options": "'{{}}'",
        "state": "CASE WHEN n % 2 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'parked' ELSE 'sent' END",
        "reason": "''",
        "apart": "{false}",
        "in_doubt": "{false}",
        "personal": "CASE WHEN n % 2 = 0 OR n % 5 = 1 THEN {true} ELSE {false} END",
        "state_at": "{ago:age}",
    },
    # A try at each order and at each update, by turns.
    "attempts": {
        "id": "n",
        "order_pk": "CASE WHEN n % 2 = 0 THEN n END",
        "update_id": "CASE WHEN n % 2 = 1 THEN n END",
        "connection": "CASE WHEN n % 2 = 0 THEN 'onebox' ELSE 'okliving' END",
        "kind": "CASE WHEN n % 2 = 0 THEN 'create' ELSE 'update' END",
        "parts": "CASE WHEN n % 2 = 0 THEN '' ELSE 'note' END",
        "started_at": "{ago:age}",
        "duration_ms": "n % 900",
        "outcome": "CASE WHEN n % 2 = 1 THEN 'sent' WHEN n % 10 < 5 THEN 'created'"
        " WHEN n % 10 < 9 THEN 'failed' ELSE 'refused' END",
        "excerpt": "CASE WHEN n % 2 = 0 THEN '' ELSE 'ok' END",
    },
    "hook_calls": {
        "id": "n",
        "connection": "'okliving'",
        "fields": "'{{}}'",
        "received_at": "{ago:age}",
        "done_at": "CASE WHEN n <= {all} * 95 / 100 THEN {ago:age} END",
        "outcome": "CASE WHEN n <= {all} * 95 / 100 THEN 'accepted' ELSE '' END",
        "process": "'okl-f' || n",
        "next_try_at": "CASE WHEN n > {all} * 95 / 100 THEN {ago:60.0} END",
    },
    "history": {
        "id": "n",
        "at": "{ago:age}",
        "who": "'olena'",
        "what": "'order_retried'",
        "about": "'order'",
        "connection": "'okliving'",
        "order_id": "'f' || n",
    },
    # The first tenant has all that is counted by tenants.
    "tenants": {
        "id": "n",
        "name": "'T' || n",
        "name_key": "'t' || n",
        "zone": "'Europe/Kyiv'",
        "creates_accounts": "{true}",
        "address_policy": "'one'",
        "is_delivered": "{true}",
        **{
            f"last_{name}": "{all}"
            for name in ("order", "position", "account", "address", "catalog")
        },
    },
    "accounts": {
        "id": "n",
        "tenant": "1",
        "account_id": "n",
        # One in fifty has the most frequent name.
        "customer_name": "CASE WHEN n % 50 = 0 THEN 'Shevchenko' ELSE 'N' || n END",
        "external_customer_id": "'E' || n",
        "is_loaded": "CASE WHEN n % 2 = 0 THEN {true} ELSE {false} END",
        "last_order_at": "{ago:age}",
    },
    "account_addresses": {
        "tenant": "1",
        "account_address_id": "n",
        "account_id": "n",
        "text": "'street ' || n",
    },
    "catalog_positions": {
        "tenant": "1",
        "catalog_position_id": "n",
        "product_name": "'p' || n",
        "position_type": "'Goods'",
        "unit": "'шт'",
        "default_quantity": "'1'",
        "price": "'23.1'",
        "product_code": "'c' || n",
    },
    "placed_orders": {
        "tenant": "1",
        "order_id": "n",
        "order_num": "n",
        "order_pk": "n",
        "account_id": "n",
        "account_address_id": "n",
        "order_type": "'OnSite'",
        "order_status": "'Draft'",
        "total": "'46.2'",
        "placed_at": "{ago:age}",
        "request_key": "'k' || n",
        "request_digest": "'0123456789abcdef'",
    },
    "placed_positions": {
        "tenant": "1",
        "position_id": "n",
        "order_id": "n",
        "position_type": "'Goods'",
        "product_name": "'p' || n",
        "product_code": "'c' || n",
        "quantity": "'2'",
        "unit": "'шт'",
        "price": "'23.1'",
    },
}


def fill(ledger: Ledger, count: int, source: str = '{"note": "' + 500 * "x" + '"}') -> None:
    """Fill all tables, and let PostgreSQL learn of it, as its autovacuum would; SQLite learns nothing."""
    is_file = ledger.engine.dialect.name == "sqlite"
    for table, columns in TABLES.items():
        values = {name: _sql(ledger, column, count, source) for name, column in columns.items()}
        # Rows come in the order of their age: the newest last.
        row = f"SELECT numbers.n, {_age(count)} AS age FROM numbers"
        rows = f"SELECT {', '.join(values.values())} FROM ({row}) AS numbered"
        names = ", ".join(f'"{name}"' for name in values)
        for first in range(1, count + 1, BATCH):
            last = min(first + BATCH - 1, count)
            numbers = _numbers(first, last, is_file=is_file)
            statement = f"INSERT INTO {table} ({names}) {numbers} {rows}"
            # To psycopg this sign begins a parameter.
            statement = statement if is_file else statement.replace("%", "%%")
            ledger.write(lambda db, statement=statement: db.exec_driver_sql(statement))
    if not is_file:
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            for table, columns in TABLES.items():
                if "id" in columns:
                    sequence = f"pg_get_serial_sequence('{table}', 'id')"
                    db.execute(text(f"SELECT setval({sequence}, {count})"))
            db.execute(text("VACUUM ANALYZE"))


def _numbers(first: int, last: int, *, is_file: bool) -> str:
    if is_file:
        return (
            f"WITH RECURSIVE numbers(n) AS (VALUES({first}) UNION ALL SELECT n + 1 FROM numbers"
            f" WHERE n < {last})"
        )
    return f"WITH numbers AS (SELECT generate_series({first}, {last}) AS n)"


def _age(count: int) -> str:
    """Seconds: the first hundredth is older than the retention, the last three fell in the last hour."""
    return (
        f"CASE WHEN n <= {count} / 100 THEN {(RETENTION_DAYS + 20.0) * DAY}"
        f" WHEN n > {count} - {min(3000, count * 3 // 100)} THEN ({count} - n) % 3500 + 1.0"
        f" ELSE 7200.0 + {(RETENTION_DAYS - 1.0) * DAY} * ({count} - n) / {count} END"
    )


def _sql(ledger: Ledger, column: str, count: int, source: str) -> str:
    """A column in the words of this database."""
    ago: Callable[[str], str]
    if ledger.engine.dialect.name == "sqlite":
        words = {"true": "1", "false": "0", "json": ""}
        ago = "strftime('%Y-%m-%d %H:%M:%f000', 'now', (0 - ({})) || ' seconds')".format
    else:
        words = {"true": "true", "false": "false", "json": "::json"}
        ago = "now() - ({}) * interval '1 second'".format
    return column.format(ago=_Ago(ago), all=count, order=f"'{source}'", **words)


class _Ago:
    """`{ago:X}` in a column: the moment X seconds ago."""

    def __init__(self, render: Callable[[str], str]) -> None:
        self._render = render

    def __format__(self, seconds: str) -> str:
        return self._render(seconds)
