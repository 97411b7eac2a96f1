"""What came of a run: waits until everything has settled, then says what was lost, doubled or swallowed.

In: a `World` whose faults have ended. Out: nothing, or an AssertionError with the plan, what happened when,
and of each order that is not as it must be its row, its attempts, its updates and its lines of the logs.
Called by test_whole_chaos.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import groupby

from sqlalchemy import func, select, update
from whole.chaos.play import patiently

from ledger.orders.listing import ROW
from ledger.tables import IDENTITY, METADATA, ORDERS, QUEUES, UPDATES

ATTEMPTS = METADATA.tables["attempts"]
HOOKS = METADATA.tables["hook_calls"]

# Seconds from the end of the faults until everything must be as it should.
SETTLED_WITHIN = 60.0
# A call that may take effect later is over by then.
STILL_UNDER_WAY = timedelta(seconds=12)
LINES_OF_ONE = 2  # the product and the delivery
SHOWN, LOGGED = 6, 60


def judge(world):
    """Wait for the end, then look at everything; raises AssertionError that explains itself."""
    until = time.monotonic() + SETTLED_WITHIN
    reconciled = 0.0
    while True:
        if time.monotonic() > reconciled + 4:
            reconciled = time.monotonic()
            world.reconcile_soon()
            _let_time_pass(world, world.plan.may_be_refused)
        found = Verdict(world)
        waits = found.unsettled()
        if not waits or time.monotonic() > until:
            break
        if time.monotonic() > until - SETTLED_WITHIN / 2:
            # Without an answer again and again: each wait is longer than the one before.
            _let_time_pass(world, {order_id for order_id, _ in waits if order_id})
        time.sleep(0.5)
    world.tell(f"settled {SETTLED_WITHIN - until + time.monotonic():.0f} s later")
    problems = [*waits, *found.problems()]
    assert not problems, found.explained(problems)


def _let_time_pass(world, whom):
    """What these orders wait for is long over now. A call that may still take effect is waited for all the
    same.
    """
    now = world.ledger.now()
    mine = (ORDERS.c.order_id.in_(whom), ORDERS.c.state.in_(("waiting", "received")))
    over = ORDERS.c.uncertain_since < now - STILL_UNDER_WAY
    long_ago = now - timedelta(days=1) / 2

    def unit(db):
        db.execute(update(ORDERS).where(*mine, over).values(uncertain_since=long_ago))
        db.execute(update(ORDERS).where(*mine, ORDERS.c.next_try_at > now).values(next_try_at=now))

    patiently(lambda: world.ledger.write(unit))


class Verdict:
    """One look at ledger, shop and CRM. A problem is the order it is about ("" for none) and a sentence."""

    def __init__(self, world):
        self.world = world
        self.rows = {row.order_id: row for row in self._all(ROW)}
        self.updates = defaultdict(list)
        for row in self._all(select(UPDATES).order_by(UPDATES.c.order_id, UPDATES.c.seq)):
            self.updates[row.order_id].append(row)

    def _all(self, query):
        def look():
            with self.world.ledger.read() as db:
                return db.execute(query).all()

        return patiently(look)

    # --- has everything settled? --------------------------------------------------------------------

    def unsettled(self):
        """What is still on its way."""
        waits = [
            (order_id, self._stands(order_id))
            for order_id in self.world.shop.orders
            if not self._is_at_its_end(order_id)
        ]
        for order_id, rows in self.updates.items():
            waits += [
                (order_id, f"update {row.seq} is queued") for row in rows if row.state == "queued"
            ]
        (undone,) = self._all(select(func.count()).where(HOOKS.c.done_at.is_(None)))[0]
        if undone:
            waits.append(("", f"{undone} hook calls are undone"))
        for order_id, said in self.world.said.items():
            made = len(self._of_box(order_id))
            if made < len(said):
                waits.append((order_id, f"said {len(said)} things, of which {made} were heard"))
        if self.world.rolled_back and not self._all(select(IDENTITY.c.caught_up_at))[0][0]:
            waits.append(("", "the ledger went back, and has not caught up"))
        return waits

    def _stands(self, order_id):
        row = self.rows.get(order_id)
        return f"STUCK: it is {row.state} ({row.reason})" if row else "LOST: no poll has stored it"

    def _is_at_its_end(self, order_id):
        row = self.rows.get(order_id)
        if row is None:
            return False
        return row.state == "created" or (
            row.state == "held" and order_id in self.world.plan.may_be_refused
        )

    def _of_box(self, order_id):
        return [row for row in self.updates[order_id] if row.origin == "onebox"]

    # --- is it right? -------------------------------------------------------------------------------

    def problems(self):
        return [
            *self._of_orders(),
            *self._of_processes(),
            *self._of_updates(),
            *self._of_the_shop(),
            *self._of_the_run(),
        ]

    def _of_orders(self):
        for order_id, order in list(self.world.shop.orders.items()):
            made, row = self.world.crm.find(f"okl-{order_id}"), self.rows.get(order_id)
            if row is not None and row.state == "created" and len(made) != 1:
                yield order_id, f"LOST: {len(made)} processes, and the ledger says created"
            if row is None or len(made) != 1:
                continue
            (process,) = made
            if row.state == "created" and row.target_id != str(process["id"]):
                yield order_id, f"its process is {process['id']}, the ledger says {row.target_id}"
            if row.state == "held":
                yield order_id, "is held, and has a process"
            if len(process["products"]) != LINES_OF_ONE:
                yield (
                    order_id,
                    f"DOUBLED: {len(process['products'])} lines instead of {LINES_OF_ONE}",
                )
            phone = order["recipient"]["phone"][-9:]
            if not str(process["clientphone"]).endswith(phone) and not row.changed:
                yield order_id, f"CHANGED: {process['clientphone']} in the CRM, {phone} in the shop"

    def _of_processes(self):
        for external_id in self.world.crm.doubled():
            yield external_id.removeprefix("okl-"), "DOUBLED: more than one process"
        for process in list(self.world.crm.processes.values()):
            order_id = process["externalid"].removeprefix("okl-")
            if order_id not in self.world.shop.orders:
                yield order_id, "is in the CRM and not in the shop"

    def _of_updates(self):
        """What was said became updates, in order, once, and all of them ended well."""
        for order_id, said in self.world.said.items():
            made = [
                tuple(asked(row, part) for part in ("tracking_number", "order", "delivery"))
                for row in self._of_box(order_id)
            ]
            if made != said:
                fault = "SWALLOWED" if len(made) < len(said) else "OVERTAKEN"
                yield order_id, f"{fault}: said {said}, made {made}"
        for order_id, posted in self.world.posts.items():
            if len(self.updates[order_id]) != len(posted):
                yield (
                    order_id,
                    f"SWALLOWED: {len(posted)} posted, {len(self.updates[order_id])} kept",
                )
        for order_id, rows in self.updates.items():
            for row in rows:
                if row.state not in {"sent", "queued"}:
                    yield order_id, f"update {row.seq} is {row.state}: {row.reason}"

    def _of_the_shop(self):
        """Each update that was sent is there: once, and none before its turn."""
        effects = defaultdict(list)
        for effect in list(self.world.shop.updates):
            effects[effect["id"]].append(effect)
        for order_id, rows in self.updates.items():
            if any(row.state == "queued" for row in rows):
                continue  # that is said already, and its call may have had an effect
            sent = [row for row in rows if row.state == "sent"]
            yield from ((order_id, text) for text in self._of_notes(order_id, sent))
            yield from ((order_id, text) for text in self._of_states(order_id, sent, effects))
        for order_id in effects.keys() - self.updates.keys():
            yield order_id, "was updated in the shop, and the ledger knows of no update"

    def _of_notes(self, order_id, sent):
        wanted = [asked(row, "note") for row in sent if asked(row, "note")]
        notes = self.world.shop.notes.get(order_id, [])
        if order_id in self.world.again:
            if set(notes) != set(wanted):
                yield f"SWALLOWED: notes {notes} instead of {wanted}"
            return
        if [note for note, _ in groupby(notes)] != wanted:
            yield f"OVERTAKEN: notes {notes} instead of {wanted}"
        doubted = {asked(row, "note") for row in sent if _maybe_doubled(row)}
        doubled = {note for note, times in Counter(notes).items() if times > 1} - doubted
        if doubled:
            yield f"DOUBLED: notes {sorted(doubled)}, and none is marked"

    def _of_states(self, order_id, sent, effects):
        numbers = [n for row in sent if (n := asked(row, "tracking_number"))]
        shipping = self.world.shop.orders[order_id]["shipping"]
        if numbers and shipping["tracking_number"] != numbers[-1]:
            yield f"SWALLOWED: its number is {shipping['tracking_number']}, not {numbers[-1]}"
        if order_id in self.world.again:
            return
        for part in ("order", "delivery"):
            wanted = [
                asked(row, part)
                for row in sent
                if asked(row, part) and not _needed_no_call(row, part)
            ]
            seen = [
                effect["statuses"][part]
                for effect in effects[order_id]
                if part in effect["statuses"] and effect["statuses"][part] != "reopen"
            ]
            if [one for one, _ in groupby(seen)] != [one for one, _ in groupby(wanted)]:
                yield f"OVERTAKEN: {part} {seen} instead of {wanted}"

    def _of_the_run(self):
        if self.world.gone:
            yield "", f"workers {self.world.gone} ended by themselves"
        if self.world.rolled_back and not self._all(select(IDENTITY.c.went_back_at))[0][0]:
            yield "", "the ledger went back in time, and nobody noticed"

    # --- the explanation ----------------------------------------------------------------------------

    def explained(self, problems):
        logs = self.world.logs().splitlines()
        ids = list(dict.fromkeys(order_id for order_id, _ in problems))[:SHOWN]
        return "\n".join(
            [
                "",
                str(self.world.plan),
                "--- what happened",
                *self.world.diary,
                f"--- {len(problems)} problems",
                *(f"{order_id or '-'}: {text}" for order_id, text in problems),
                *(line for order_id in ids if order_id for line in self._of_one(order_id, logs)),
                *(("--- the end of the logs", *logs[-LOGGED:]) if "" in ids else ()),
            ]
        )

    def _of_one(self, order_id, logs):
        yield f"--- order {order_id}"
        row = self.rows.get(order_id)
        if row is not None:
            told = {**row._asdict(), "source": "..."}
            yield f"row      { ({name: value for name, value in told.items() if value}) }"
            for tried in self._all(select(ATTEMPTS).where(ATTEMPTS.c.order_pk == row.id)):
                yield f"attempt  {tried.started_at} {tried.kind} {tried.outcome} {tried.excerpt[:200]}"
        for queue in self._all(select(QUEUES).where(QUEUES.c.order_id == order_id)):
            yield f"queue    {queue._asdict()}"
        for sent in self.updates.get(order_id, ()):
            yield f"update   { ({name: v for name, v in sent._asdict().items() if v}) }"
            for call in self._all(select(ATTEMPTS).where(ATTEMPTS.c.update_id == sent.id)):
                yield f"  call   {call.started_at} {call.parts} {call.outcome} {call.excerpt[:200]}"
        for effect in list(self.world.shop.updates):
            if effect["id"] == order_id:
                yield f"shop     {effect}"
        yield f"processes {self.world.crm.find(f'okl-{order_id}')}"
        for entry in list(self.world.crm.requests):
            if order_id in str(entry.body):
                yield f"crm call {entry.time} {entry.path} {entry.status} {entry.fault}"
        yield from [line for line in logs if order_id in line][-LOGGED:]


def asked(row, part):
    """What an update asks for; None where it does not."""
    return row.parts.get(part, {}).get("value")


def _maybe_doubled(row):
    return any(fate.get("code") == "update_note_maybe_doubled" for fate in row.fates or ())


def _needed_no_call(row, part):
    return any(
        fate.get("code") == "update_nothing_to_do" and fate.get("part") == part
        for fate in row.fates or ()
    )
