"""Hears what is executed on a ledger, and holds each statement to its plan and to the rows that it touches.

Used by test_ledger_plans.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import event
from whole.filling import TABLES

BIG = frozenset(TABLES)
# What a statement may touch: the pages and chunks that bound what is done at once are of 5,000 rows.
MOST_ROWS = 3 * 5000
# Instructions of SQLite's machine for so many rows; to count 100,000 rows by an index it needs 300,000.
MOST_STEPS = 200_000
STEP = 1000
# What PostgreSQL may sort, by its own estimate.
MOST_SORTED = 1000


@dataclass
class Statement:
    """One statement as it was executed the first time, and the most that it cost."""

    sql: str
    parameters: object
    steps: int = 0


@dataclass
class Listener:
    """Notes what is executed on an engine, and for how long each kind of transaction that was committed held
    the writer: the least of it, since what is run for the first time is also prepared.
    """

    heard: dict[str, Statement] = field(default_factory=dict)
    holds: dict[str, float] = field(default_factory=dict)
    _began: float = 0.0
    _now: Statement | None = None
    _steps: int = 0

    def listen(self, engine):
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "commit", self._commit)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", self._count_steps)

    def _begin(self, _connection):
        self._began = time.thread_time()

    def _commit(self, _connection):
        if self._now is not None:
            took = time.thread_time() - self._began
            self.holds[self._now.sql] = min(took, self.holds.get(self._now.sql, took))

    def _before(self, _connection, _cursor, sql, parameters, _context, executemany):
        if sql.split(maxsplit=1)[0].upper() not in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            self._now = None
            return
        # Rows that are sent in one statement are one set of parameters.
        several = executemany and isinstance(parameters, list)
        first = parameters[0] if several else parameters
        self._now = self.heard.setdefault(sql, Statement(sql, first))
        self._steps = 0

    def _count_steps(self, raw, _record):
        raw.set_progress_handler(self._step, STEP)

    def _step(self):
        self._steps += STEP
        if self._now is not None:
            self._now.steps = max(self._now.steps, self._steps)


def plans_of_sqlite(ledger, statement):
    """What is wrong with how SQLite runs it."""
    with ledger.engine.connect() as db:
        plan = [
            row[3]
            for row in db.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters
            )
        ]
    bounded = "LIMIT" in statement.sql and "WHERE" not in statement.sql
    wrong = [
        line for line in plan if line.startswith("SCAN ") and line.split()[1] in BIG and not bounded
    ]
    if statement.steps > MOST_STEPS:
        wrong.append(f"{statement.steps} steps: {plan}")
    return wrong


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def plans_of_postgresql(ledger, statement):
    """What is wrong with how PostgreSQL runs it."""
    wrong = []
    with ledger.engine.connect() as db:
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}"
        (plan,) = db.exec_driver_sql(explain, statement.parameters).scalar_one()
        db.rollback()
    for node in nodes(plan["Plan"]):
        relation = node.get("Relation Name")
        touched = node["Actual Loops"] * (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        )
        if node["Node Type"] == "Seq Scan" and relation in BIG:
            wrong.append(f"Seq Scan of {relation}")
        elif relation in BIG and touched > MOST_ROWS:
            wrong.append(f"{node['Node Type']} over {touched} rows of {relation}")
        elif node["Node Type"] == "Sort" and node["Plan Rows"] > MOST_SORTED:
            wrong.append(f"Sort of {node['Plan Rows']} rows")
    return wrong


PLANS = {"sqlite": plans_of_sqlite, "postgresql": plans_of_postgresql}
