"""Updates in parts: what is asked for and what became of it as JSON, flags as columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from alembic import op

from ledger.columns import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHUNK = 2000
RETRIED = "update_retried"
# Until now there was one kind of source, whose parts these are, in the order in which they are sent apart.
PARTS = {
    "tracking_number": "tracking_number",
    "order": "order_action",
    "delivery": "delivery_action",
    "note": "note",
}
ORDERED = ("order", "delivery")
PERSONAL = "note"
WAS_PURGEABLE = "state NOT IN ('queued', 'parked') AND note IS NOT NULL"
IS_PURGEABLE = "state NOT IN ('queued', 'parked') AND personal"

Row = dict[str, Any]


def _old() -> dict[str, list[sa.Column[Any]]]:
    return {
        "updates": [
            sa.Column("tracking_number", sa.String(length=64), nullable=True),
            sa.Column("order_action", sa.String(length=32), nullable=True),
            sa.Column("delivery_action", sa.String(length=32), nullable=True),
            sa.Column("note", sa.Text(), nullable=True),
            sa.Column("replace", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("left", sa.String(length=64), nullable=False, server_default=""),
            sa.Column("parked", sa.String(length=64), nullable=False, server_default=""),
        ],
        "update_queues": [
            sa.Column("order_state", sa.String(length=32), nullable=True),
            sa.Column("delivery_state", sa.String(length=32), nullable=True),
            sa.Column("order_certain", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("delivery_certain", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("tracking_number", sa.String(length=64), nullable=True),
        ],
    }


def _new() -> dict[str, list[sa.Column[Any]]]:
    return {
        "updates": [
            sa.Column("parts", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("options", sa.JSON(), nullable=False, server_default="{}"),
            sa.Column("retried", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("blocks", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("personal", sa.Boolean(), nullable=False, server_default=sa.false()),
        ],
        "update_queues": [
            sa.Column("known", sa.JSON(none_as_null=True), nullable=True),
            sa.Column("doubted", sa.Boolean(), nullable=False, server_default=sa.false()),
        ],
    }


def upgrade() -> None:
    _alter(_old(), _new(), _parts_of, _known_of, IS_PURGEABLE)


def downgrade() -> None:
    _alter(_new(), _old(), _columns_of, _states_of, WAS_PURGEABLE)


def _alter(
    gone: dict[str, list[sa.Column[Any]]],
    come: dict[str, list[sa.Column[Any]]],
    of_update: Callable[[Row], Row],
    of_queue: Callable[[Row], Row],
    purgeable: str,
) -> None:
    """In place: a table made anew would lose what SQLite's planner is told of its indexes."""
    for table, columns in come.items():
        for column in columns:
            op.add_column(table, column)
    also: list[Any] = [
        sa.column(name, sa.String()) for name in ("connection", "order_id", "digest")
    ]
    also += [sa.column("state", sa.String()), sa.column("reason", sa.Text())]
    also += [sa.column("fates", sa.JSON()), sa.column("state_at", UtcDateTime())]
    plain = {table: [*gone[table], *come[table]] for table in come}
    updates = sa.table(
        "updates", sa.column("id", sa.BigInteger()), *also, *map(_bare, plain["updates"])
    )
    _convert(updates, ("id",), of_update)
    queues = sa.table(
        "update_queues",
        sa.column("connection", sa.String()),
        sa.column("order_id", sa.String()),
        sa.column("known_at", UtcDateTime()),
        *map(_bare, plain["update_queues"]),
    )
    _convert(queues, ("connection", "order_id"), of_queue)
    op.drop_index("ix_updates_purgeable", table_name="updates")
    for table, columns in gone.items():
        for column in columns:
            op.drop_column(table, column.name)
    where = sa.text(purgeable)
    op.create_index(
        "ix_updates_purgeable", "updates", ["state_at"], sqlite_where=where, postgresql_where=where
    )
    _tell_statistics()


def _tell_statistics() -> None:
    """What SQLite's planner was told of an index goes with it; migration 0003 explains what it is told."""
    if op.get_bind().dialect.name == "sqlite":
        statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
        told = {"tbl": "updates", "idx": "ix_updates_purgeable", "stat": "100000 2"}
        op.bulk_insert(statistics, [told])


def _bare(column: sa.Column[Any]) -> Any:
    return sa.column(column.name, column.type)


def _convert(table: Any, key: tuple[str, ...], of: Callable[[Row], Row]) -> None:
    """Each row by itself, in the order of its key, so that a long ledger is never held in memory."""
    for rows in _pages(table, key):
        made = [
            {f"of_{name}": row[name] for name in key} | changes
            for row in rows
            if (changes := of(row))
        ]
        if not made:
            continue
        names = [name for name in made[0] if not name.startswith("of_")]
        change = (
            table.update()
            .where(*(table.c[name] == sa.bindparam(f"of_{name}") for name in key))
            .values({name: sa.bindparam(name) for name in names})
        )
        op.get_bind().execute(change, made)


def _pages(table: Any, key: tuple[str, ...]) -> Iterator[list[Row]]:
    keys = [table.c[name] for name in key]
    after: tuple[Any, ...] | None = None
    while True:
        query = sa.select(table).order_by(*keys).limit(CHUNK)
        if after is not None:
            query = query.where(sa.tuple_(*keys) > sa.tuple_(*map(sa.literal, after)))
        rows = [dict(row._mapping) for row in op.get_bind().execute(query)]  # noqa: SLF001  its name
        if rows:
            yield rows
        if len(rows) < CHUNK:
            return
        after = tuple(rows[-1][name] for name in key)


# --- up -----------------------------------------------------------------------------------------------


def _parts_of(row: Row) -> Row:
    left, parked = _names(row["left"]), _names(row["parked"])
    ended = {t["part"]: t["fate"] for t in row["fates"] or [] if t.get("part") and t.get("fate")}
    parts = {}
    for name, column in PARTS.items():
        # A note that was blanked is known by what became of it.
        if row[column] is None and name not in {*left, *parked, *ended}:
            continue
        state = _state(name, row["state"], left, parked, ended)
        parts[name] = {"value": row[column], "state": state}
        if name == PERSONAL:
            parts[name]["personal"] = True
    options = {"replace": True} if row["replace"] else {}
    return {
        "parts": parts,
        "options": options,
        "retried": bool(left) and row["reason"].startswith(RETRIED),
        "blocks": any(name in parked for name in ORDERED),
        "personal": row[PERSONAL] is not None,
        "digest": _digest(row, options, parts) if row["state"] != "refused" else row["digest"],
    }


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _state(name: str, state: str, left: list[str], parked: list[str], ended: dict[str, str]) -> str:
    if name in left:
        return "left"
    if name in parked:
        return "parked"
    fate = ended.get(name, "")
    if fate in {"sent", "withdrawn"}:
        return fate
    return "cancelled" if state == "cancelled" else "sent"


def _digest(row: Row, options: Row, parts: Row) -> str:
    """As updates are told apart from now on: a caller that repeats a key gets its update, not a conflict."""
    values = {name: part["value"] for name, part in parts.items()}
    said = json.dumps([row["connection"], row["order_id"], options, values], sort_keys=True)
    return blake2b(said.encode(), digest_size=16).hexdigest()


def _known_of(row: Row) -> Row:
    if row["known_at"] is None:
        return {}
    states = {"order": row["order_state"], "delivery": row["delivery_state"]}
    certain = {"order": row["order_certain"], "delivery": row["delivery_certain"]}
    return {
        "known": {
            "states": {name: state for name, state in states.items() if state is not None},
            "certain": sorted(name for name in certain if certain[name]),
            "tracking_number": row["tracking_number"],
        }
    }


# --- down ---------------------------------------------------------------------------------------------


def _columns_of(row: Row) -> Row:
    parts = row["parts"] or {}
    values = {column: parts.get(name, {}).get("value") for name, column in PARTS.items()}

    def named(state: str) -> str:
        return ",".join(name for name, part in parts.items() if part["state"] == state)

    # A flag that nobody reads as a column any more stands in the reason.
    said = [code for code in row["reason"].split(", ") if code and code != RETRIED]
    return values | {
        "replace": bool((row["options"] or {}).get("replace")),
        "left": named("left"),
        "parked": named("parked"),
        "reason": ", ".join([RETRIED, *said] if row["retried"] else said),
    }


def _states_of(row: Row) -> Row:
    if row["known_at"] is None or row["known"] is None:
        return {}
    known = row["known"]
    return {
        "order_state": known["states"].get("order"),
        "delivery_state": known["states"].get("delivery"),
        "order_certain": "order" in known["certain"] and not row["doubted"],
        "delivery_certain": "delivery" in known["certain"] and not row["doubted"],
        "tracking_number": known["tracking_number"],
    }
