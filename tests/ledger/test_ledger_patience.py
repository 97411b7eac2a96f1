"""PostgreSQL says nothing, or a session holds on to a row: our own passing fault, within seconds, for that
alone.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import psycopg
import pytest
from mapped_as import mapped_as
from sqlalchemy import text
from whole.system import Postgres

from ledger import orders
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.orders import Arrived

POSTGRESQL = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
# Seconds: what a connection, a statement and a transaction may take together, and a busy machine.
SOON = 20.0
BESIDE = 12


def given(ledger, count):
    arrived = [Arrived(str(n), f"okl-{n}", "{}", "h", NOW) for n in range(count)]
    return orders.store(ledger, "okliving", "onebox", arrived, NOW, mapped_as())


def read(ledger):
    with ledger.read() as db:
        return db.execute(text("SELECT count(*) FROM orders")).scalar_one()


@POSTGRESQL
def test_a_silent_server_is_an_outage_for_every_thread_and_then_all_goes_on(
    ledger, postgres, together
):
    pks = given(ledger, BESIDE)
    server = Postgres(postgres)
    server.freeze()
    took = {}

    def work(n):
        began = time.monotonic()
        try:
            return read(ledger) if n % 2 else orders.claim(ledger, pks[n], NOW, 60)
        finally:
            took[n] = time.monotonic() - began

    try:
        results = together(work, BESIDE)
    finally:
        server.thaw()
    assert {type(result) for result in results} == {LedgerUnavailable}
    assert max(took.values()) < SOON
    assert read(ledger) == BESIDE
    # A claim that was sent before the silence may have arrived; every other order can be had.
    later = NOW.replace(hour=13)
    assert all(orders.claim(ledger, pk, later, 60) is not None for pk in pks)


@POSTGRESQL
def test_a_row_that_somebody_holds_stops_no_other(ledger, ledger_url, together):
    pks = given(ledger, BESIDE)
    with psycopg.connect(ledger_url.replace("+psycopg", "")) as session:
        session.execute("SELECT 1 FROM orders WHERE id = %s FOR UPDATE", (pks[0],))
        began = time.monotonic()
        results = together(lambda n: orders.claim(ledger, pks[n], NOW, 60), BESIDE)
        took = time.monotonic() - began
    assert isinstance(results[0], LedgerUnavailable)
    assert [claim.pk for claim in results[1:]] == pks[1:]
    assert took < SOON
    assert orders.claim(ledger, pks[0], NOW, 60) is not None


@POSTGRESQL
def test_a_session_left_open_in_a_transaction_lets_go(ledger, ledger_url):
    (pk,) = given(ledger, 1)
    other = open_ledger(ledger_url)
    with other.engine.connect() as forgotten:
        forgotten.execute(text("SELECT 1 FROM orders FOR UPDATE"))
        until = time.monotonic() + 2 * SOON
        claim = None
        while claim is None and time.monotonic() < until:
            try:
                claim = orders.claim(ledger, pk, NOW, 60)
            except LedgerUnavailable:
                continue
        forgotten.invalidate()
    other.close()
    assert claim is not None


@POSTGRESQL
def test_a_pool_without_a_free_connection_is_an_outage(ledger):
    given(ledger, 1)
    held = threading.Event()
    size = ledger.engine.pool.size() + ledger.engine.pool._max_overflow

    def hold():
        with ledger.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            held.wait(60)

    # One is the writer's own.
    holders = [threading.Thread(target=hold) for _ in range(size - ledger.engine.pool.checkedout())]
    for holder in holders:
        holder.start()
    try:
        while ledger.engine.pool.checkedout() < size:
            threading.Event().wait(0.01)
        with pytest.raises(LedgerUnavailable):
            read(ledger)
    finally:
        held.set()
        for holder in holders:
            holder.join()
    assert read(ledger) == 1
