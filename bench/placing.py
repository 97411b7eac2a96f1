"""Measures the door CreateOrder: orders of two positions a second, the wait at half the wanted rate, and
whether a request costs more where many accounts and orders are stored, on either ledger.

In: nothing. Out: rows. Called by bench/__main__.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import aiohttp
from whole.filling import fill

from bench.surroundings import Call, Row, database, doors, post_all, post_paced, system

# Requests a second that must be taken in, and the 99th percentile of the waits at half that, in seconds.
WANTED_RATE, WANTED_P99 = 200, 0.1
# Accounts, catalog positions and orders that are stored in the two ledgers that are compared.
FEW, MANY = 1_000, 100_000
# What a request may cost more among many.
MORE = 0.10


def an_order(address: str, accounts: int) -> Call:
    """A request of one of these accounts (whole/filling), with two positions."""

    async def call(session: aiohttp.ClientSession, number: int) -> float:
        begun = time.perf_counter()
        body = {
            "tenant": "t1",
            "external_customer_id": f"E{1 + number * 7919 % accounts}",
            "tel_num": "0671234567",
            "order_positions": [
                {"catalog_position_id": 1 + number * 104_729 % accounts},
                {"product_name": "Стіл", "price": 200.50, "quantity": 1},
            ],
        }
        async with session.post(f"{address}/CreateOrder", json=body) as answer:
            assert answer.status == 200, await answer.text()
        return time.perf_counter() - begun

    return call


def createorder(count: int = 2000, paced: int = 1000, rounds: int = 3) -> list[Row]:
    """All of it, medians of three rounds."""
    rows = []
    for name, kind in (("SQLite", None), ("PostgreSQL", "postgresql")):
        rates, lasts, few, many = [], [], [], []
        for _ in range(rounds):
            with database(kind) as url, system(url) as made, doors(made) as address:
                fill(made.ledger, FEW)
                rates.append(count / asyncio.run(post_all(an_order(address, FEW), count, 32)))
                call = an_order(address, FEW)
                waits = sorted(asyncio.run(post_paced(call, paced, WANTED_RATE / 2)))
                lasts.append(waits[int(len(waits) * 0.99) - 1])
        with (
            database(kind) as url,
            database(kind) as other,
            system(url) as small,
            system(other) as large,
            doors(small) as near,
            doors(large) as far,
        ):
            fill(small.ledger, FEW)
            fill(large.ledger, MANY)
            # In turn, so that the machine's drift meets both.
            for _ in range(rounds + 2):
                few.append(asyncio.run(post_all(an_order(near, FEW), count // 2, 32)))
                many.append(asyncio.run(post_all(an_order(far, MANY), count // 2, 32)))
        more = statistics.median(many) / statistics.median(few) - 1
        reached, p99 = statistics.median(rates), statistics.median(lasts)
        rows += [
            Row(
                f"CreateOrder requests a second, {name}",
                f"{reached:.0f}",
                f"≥ {WANTED_RATE}",
                reached >= WANTED_RATE,
                f"{count} orders of two positions by 32 callers, {min(rates):.0f} to {max(rates):.0f} in "
                f"{rounds} rounds; every one is durable before its answer",
            ),
            Row(
                f"CreateOrder p99 at {WANTED_RATE // 2} a second, {name}",
                f"{p99 * 1000:.0f} ms",
                f"≤ {WANTED_P99 * 1000:.0f} ms",
                p99 <= WANTED_P99,
                f"{min(lasts) * 1000:.0f} to {max(lasts) * 1000:.0f} ms in {rounds} rounds of {paced}",
            ),
            Row(
                f"CreateOrder among {MANY:,} accounts and orders, to {FEW:,}, {name}",
                f"{more:+.0%}",
                f"≤ {MORE:.0%}",
                more <= MORE,
                f"medians of {rounds + 2}, in turn; as many orders are stored as accounts",
            ),
        ]
    return rows
