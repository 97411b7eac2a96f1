"""Attacks a running sandbox as a hostile buyer, a hostile CRM and hostile callers would: `make attack`.

In: nothing; a system of simulators, workers and a gateway is started for it and stopped again. Prints a table
of what was tried and what held; ends with 1 when something did not.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp
import httpx
from rich.console import Console
from rich.table import Table
from whole.system import ROOT, System

from bench.surroundings import doors
from simulator.crm import Crm
from simulator.faults import Fault
from simulator.hostile import SHOWN, long_texts
from simulator.samples import reference_order

# Good orders go through within so many seconds of being stored, whatever the others carry.
WITHIN = 3.0
# No order costs more than so many seconds, whatever its texts.
EACH = 0.05
# Callers at once, and good requests a second beside them.
IDLE, SLOW, A_SECOND, SECONDS = 2000, 50, 100, 10
# Categories of what moves a cursor, turns a text round or cannot be seen; a line's end is the printer's own.
UNSEEN = {"Cc", "Cf"}


@dataclass(frozen=True)
class Outcome:
    """What was tried, what came of it, and whether that is as it should be."""

    tried: str
    came: str
    held: bool


def spoilt(order_id: str, text: str, **more: str) -> dict[str, object]:
    """An order with this text wherever a buyer may write."""
    person = {"first_name": text, "last_name": text, "middle_name": text, "email": text, **more}
    place = dict.fromkeys(("city", "warehouse", "street", "house", "flat"), text)
    return reference_order(
        id=order_id, customer=person, recipient=person, shipping=place, note=text
    )


def a_buyer_with_long_names() -> Outcome:
    """Every text that patterns may take long over, as a buyer's name, phone, e-mail and comment."""
    with sandbox() as made:
        for number, text in enumerate(long_texts(1000)):
            made.shop.add(spoilt(str(900_000_000 + number), text, phone=text))
        bad = number + 1
        made.worker(threads=5)
        begun = time.time()
        made.ticks()
        made.wait_until(lambda: len(made.rows()) == bad and "received" not in made.states())
        each = (time.time() - begun) / bad
    tried = f"{bad} orders with names, phones and comments of 1,000 hostile characters"
    return Outcome(tried, f"{each * 1000:.0f} ms for each, polled, mapped and sent", each < EACH)


def a_crm_with_long_refusals() -> Outcome:
    """A CRM that refuses with a text of 30,000 letters of one word, and with many brackets."""
    with sandbox() as made:
        texts = ["x" * 30_000, "а" * 30_000, "(" * 30_000, "stage " * 5_000, "«" * 30_000]
        for number, text in enumerate(texts):
            order_id = str(900_000_000 + number)
            made.shop.add(reference_order(id=order_id))
            refused = Fault("refuse", Crm.ORDER_SET, body=text, ids=(f"okl-{order_id}",))
            made.crm.faults.add(refused)
        made.worker(threads=5)
        made.ticks()
        made.wait_until(lambda: made.states().get("held") == len(texts))
        return _good_ones(made, f"{len(texts)} refusals of 30,000 characters")


def _good_ones(made: System, tried: str) -> Outcome:
    given = made.give(20, start=400_000_001)
    made.wait_until(lambda: set(given) <= {row.order_id for row in made.rows()})
    stored = time.time()
    made.wait_until(lambda: all(f"okl-{one}" in made.sent() for one in given))
    sent = made.sent()
    waited = max(sent[f"okl-{one}"][0] for one in given) - stored
    return Outcome(tried, f"20 good orders were sent within {waited:.1f} s", waited < WITHIN)


def texts_that_would_be_more() -> Iterator[Outcome]:
    """Each text that a terminal, a log or a page might take for more, in every field of a buyer."""
    with sandbox() as made:
        ids = []
        for number, text in enumerate(SHOWN.values()):
            ids.append(str(900_000_000 + number))
            made.shop.add(spoilt(ids[-1], text))
        made.crm.faults.add(
            Fault("refuse", Crm.ORDER_SET, body=" ".join(SHOWN.values()), probability=0.5)
        )
        made.worker(threads=5)
        made.ticks()
        made.wait_until(lambda: len(made.rows()) >= len(ids))
        made.wait_until(lambda: not {"received"} & set(made.states()))
        commands = [("orders", "list"), ("check",)]
        commands += [("orders", "show", one) for one in ids] + [("preview", one) for one in ids]
        for name, words in _by_name(commands):
            yield _printed(name, [made.cli(*one) for one in words])
        yield _seen("the log", made.logs())
        with doors(made) as address:
            found = [httpx.get(f"{address}/api/v1/orders/{one}") for one in ids]
            told = "".join(one.text for one in found)
            json = all(one.headers["Content-Type"].startswith("application/json") for one in found)
            yield Outcome("orders over HTTP", _count(told), json and not _unseen(told))


def _by_name(commands: list[tuple[str, ...]]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    names = dict.fromkeys(
        " ".join(words[:2]) if words[0] != "preview" else "preview" for words in commands
    )
    for name in names:
        yield name, [words for words in commands if " ".join(words).startswith(name)]


def _printed(name: str, done: list[subprocess.CompletedProcess[str]]) -> Outcome:
    failed = [one for one in done if "Traceback" in one.stderr]
    outcome = _seen(f"orderbridge {name}", "".join(one.stdout for one in done))
    return Outcome(
        outcome.tried, f"{outcome.came}, {len(failed)} tracebacks", outcome.held and not failed
    )


def _seen(what: str, text: str) -> Outcome:
    return Outcome(what, _count(text), bool(text) and not _unseen(text))


def _unseen(text: str) -> list[str]:
    return [c for c in text if c not in "\n\t" and unicodedata.category(c) in UNSEEN]


def _count(text: str) -> str:
    return f"{len(_unseen(text))} controls in {len(text):,} characters"


def callers_who_never_finish() -> Outcome:
    """Silent and slow callers hold connections; good ones ask beside them."""
    with sandbox() as made, doors(made) as address:
        kinds = ["--idle", str(IDLE), "--headers", str(SLOW // 2), "--bodies", str(SLOW // 2)]
        program = [sys.executable, "-m", "simulator.slow_callers", address, *kinds]
        crowd = subprocess.Popen(
            [*program, "--addresses", "50", "--seconds", str(SECONDS + 30)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert crowd.stdout is not None
            crowd.stdout.readline()
            waits = asyncio.run(_ask(address))
        finally:
            crowd.terminate()
            crowd.wait()
    p99 = sorted(waits)[int(len(waits) * 0.99) - 1]
    tried = f"{IDLE:,} silent and {SLOW} slow callers, {A_SECOND} good requests a second"
    came = (
        f"median {statistics.median(waits) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms of {len(waits)}"
    )
    return Outcome(tried, came, p99 < 0.2)


async def _ask(address: str) -> list[float]:
    async with aiohttp.ClientSession() as session:
        begun, calls = time.perf_counter(), []
        for number in range(A_SECOND * SECONDS):
            await asyncio.sleep(max(0.0, begun + number / A_SECOND - time.perf_counter()))
            calls.append(asyncio.create_task(_one(session, address, number)))
        return list(await asyncio.gather(*calls))


async def _one(session: aiohttp.ClientSession, address: str, number: int) -> float:
    begun = time.perf_counter()
    body = {"order_id": str(number % 500), "note": str(number)}
    async with session.post(f"{address}/api/v1/updates", json=body) as answer:
        assert answer.status == 202, await answer.text()
    return time.perf_counter() - begun


def sandbox() -> System:
    folder = tempfile.mkdtemp()
    return System(folder, f"sqlite:///{folder}/ledger.db")


def outcomes() -> Iterator[Outcome]:
    attacks: list[Callable[[], Outcome]] = [
        a_buyer_with_long_names,
        a_crm_with_long_refusals,
        callers_who_never_finish,
    ]
    yield from texts_that_would_be_more()
    for attack in attacks:
        yield attack()


def main() -> int:
    console = Console()
    table = Table("what was tried", "what came of it", "", box=None)
    broken = 0
    for one in outcomes():
        console.print(f"[dim]{one.tried} …[/]", highlight=False)
        table.add_row(one.tried, one.came, "[green]held[/]" if one.held else "[red]broken[/]")
        broken += not one.held
    console.print(table)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
