"""What hook and box say together, what fails on the way, and what the reconcile finds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from mapped_as import mapped_as
from sqlalchemy import event, insert, select
from task_remotes import with_client

from clients import errors
from clients.errors import Forbidden, TimedOut
from ledger import connections, hooks, orders, updates, watching
from ledger.orders import Arrived, Outcome
from ledger.tables import HOOKS, ORDERS
from tasks import accepting, listening, reading, reconciling

SHOP = "okliving"
STAGES = {"71": "New", "72": "In work", "73": "Shipped", "74": "Done", "75": "Refused"}


class Box:
    """OneBox, as far as it is read: it says stages by id, their names only where it is asked for them."""

    def __init__(self, **row):
        self.row = row
        self.reads = []
        self.errors = []
        self.names = STAGES

    def get_orders(self, external_ids, _fields):
        self.reads.append(list(external_ids))
        if self.errors:
            raise self.errors.pop(0)
        return [{"externalid": i, **self.row} for i in external_ids] if self.row else []

    def workflows(self):
        if isinstance(self.names, Exception):
            raise self.names
        named = [{"id": number, "name": name} for number, name in self.names.items()]
        return [{"id": "2", "name": "Sales", "statuses": named}, {"id": "9"}]


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """What was rung for: hook calls and queues."""
    rings = []
    monkeypatch.setattr(listening, "ring_updates", rings.extend)
    for module in (listening, accepting):
        monkeypatch.setattr(module, "ring_hook", rings.append)
    for module in (listening, reconciling):
        monkeypatch.setattr(module, "ring_waiting_reads", rings.extend)
    return rings


@pytest.fixture
def clock(clock, r, monkeypatch):
    monkeypatch.setattr(r.ledger, "now", clock)
    return clock


@pytest.fixture
def box(r):
    found = Box()
    r.targets["onebox"] = with_client(r.targets["onebox"], found, r.profiles[SHOP])
    return found


@pytest.fixture
def known(r, clock, box):
    """The ledger knows the process."""
    create(r, "1")
    return box


def read_once(r):
    target = r.targets["onebox"]
    reading.read(target, target.connector.listener, ["okl-0"])


def create(r, order_id):
    now = r.ledger.now()
    arrived = [Arrived(order_id, f"okl-{order_id}", "{}", "h", now)]
    (pk,) = orders.store(r.ledger, SHOP, "onebox", arrived, now, mapped_as())
    claim = orders.claim(r.ledger, pk, now, 60)
    outcome = Outcome("created", target_id=f"9{order_id}")
    orders.record(r.ledger, claim, outcome, None, now)


def keep(r, **fields):
    return accepting.take_hook(r, "onebox", {"externalid": "okl-1", **fields})


def hook(r, **fields):
    """A call with these fields, worked off, and once more as its message may come twice."""
    hook_id = keep(r, **fields)
    wait = listening.act(r, hook_id)
    listening.act(r, hook_id)
    return wait


def made(r):
    """Every update so far, in order."""
    return [tuple(u.values.values()) for u in reversed(updates.listing(r.ledger, limit=1000))]


def outcome(r, hook_id):
    with r.ledger.read() as db:
        return db.execute(select(HOOKS.c.outcome).where(HOOKS.c.id == hook_id)).scalar_one()


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    ("row", "fields", "expected"),
    [
        # The box says it all, the hook is a doorbell.
        ({"statusid": "73", "customorder_ttn": "9"}, {}, [("9", "ship")]),
        ({"statusid": 73, "customorder_ttn": "9"}, {"status": "Shipped"}, [("9", "ship")]),
        # What the hook said when it was called and what the box says now both count, in order.
        ({"statusid": "74"}, {"status": "Shipped", "ttn": "9"}, [("9", "ship"), ("complete",)]),
        # A number said without a stage is not lost to a stage that takes none.
        ({"statusid": "74"}, {"ttn": "9"}, [("9",), ("complete",)]),
        ({"statusid": "73"}, {"ttn": "9"}, [("9", "ship")]),
        # A stage that the table does not have does not hide the one of the hook.
        ({"statusid": "71"}, {"status": "Shipped"}, [("ship",)]),
        ({"statusid": "123"}, {"status": "Shipped"}, [("ship",)]),
        ({}, {"status": "Shipped", "ttn": "9"}, [("9", "ship")]),
        ({"statusid": None}, {"status": "Done"}, [("complete",)]),
        # A stage is known by its id and by its name, whoever says it.
        ({}, {"statusid": "74"}, [("complete",)]),
        ({"statusid": "74"}, {"statusid": "74"}, [("complete",)]),
        # Of a process's comments only the hook's own travels.
        ({"statusid": "71", "comment": "internal"}, {}, []),
        ({"statusid": "71"}, {"comment": "hello"}, [("hello",)]),
    ],
)
def test_hook_and_box_together(r, box, is_known, row, fields, expected):
    if is_known:
        create(r, "1")
    read_once(r)
    box.row = {"statusid": "71"}
    read_once(r)
    box.row = row
    hook(r, **fields)
    assert made(r) == expected


def test_going_back_to_a_stage_is_a_change_too(r, known):
    for stage in ("In work", "Refused", "In work"):
        hook(r, statusname=stage)
    assert made(r) == [("process",), ("cancel", "cancel"), ("process",)]


def test_the_calls_of_a_process_are_worked_off_in_order_with_one_read(r, known):
    known.row = {"statusid": "74"}
    ids = [keep(r, statusname=stage) for stage in ("In work", "Shipped", "Done")]
    listening.act(r, ids[-1])
    assert made(r) == [("process",), ("ship",), ("complete",)]
    assert len(known.reads) == 1
    assert {outcome(r, hook_id) for hook_id in ids} == {"accepted"}


def test_a_call_that_the_box_repeats_makes_nothing_but_a_read(r, known, clock):
    first = keep(r, statusname="Shipped", comment="hello")
    known.row = {"statusid": "74"}
    listening.act(r, first)
    clock.go(60)
    again = keep(r, statusname="Shipped", comment="hello")
    listening.act(r, again)
    assert made(r) == [("ship",), ("hello",), ("complete",)]
    assert (outcome(r, again), len(known.reads)) == ("repeated", 2)
    clock.go(600)
    hook(r, statusname="Shipped", comment="hello")
    assert made(r)[3:] == [("ship",), ("hello",), ("complete",)]


def test_a_comment_that_comes_along_with_each_stage_is_told_once(r, known, clock):
    for stage in ("In work", "Shipped"):
        hook(r, statusname=stage, comment="hello")
        clock.go(30)
    assert made(r) == [("process",), ("hello",), ("ship",)]


def test_hook_and_reconcile_make_a_change_once(r, known, clock):
    known.row = {"statusid": "73", "customorder_ttn": "9"}
    hook(r, statusname="Shipped", ttn="9")
    clock.go(3600)
    assert reconciling.reconcile(r) == 0
    known.row = {"statusid": "74", "customorder_ttn": "9"}
    clock.go(3600)
    assert reconciling.reconcile(r) == 1
    hook(r, statusname="Done")
    assert made(r) == [("9", "ship"), ("complete",)]


def test_what_was_read_before_something_newer_was_heard_is_not_heard_after_it(r, known, clock):
    class Meanwhile(Box):
        def get_orders(self, external_ids, fields):
            said = super().get_orders(external_ids, fields)
            if len(self.reads) == 1:
                self.row = {"statusid": "74"}
                hook(r, statusname="Done")
            return said

    slow = Meanwhile(statusid="73")
    r.targets["onebox"] = with_client(r.targets["onebox"], slow, r.profiles[SHOP])
    clock.go(3600)
    assert reconciling.reconcile(r) == 0
    assert made(r) == [("complete",)]
    next_read = watching.next_check(r.ledger.now(), r.ledger.now(), through=True)
    assert watching.watched(r.ledger, "onebox", next_read, 9) != []
    assert watching.watched(r.ledger, "onebox", next_read - timedelta(seconds=1), 9) == []


# --- what fails ---------------------------------------------------------------------------------------


def test_a_read_that_fails_is_tried_again_and_then_the_hook_counts_alone(r, known, clock):
    known.errors = [TimedOut("hangs")] * 5
    hook_id = keep(r, statusname="Shipped")
    for _ in range(2):
        wait = listening.act(r, hook_id)
        assert wait is not None
        assert made(r) == []
        assert listening.act(r, hook_id) is None, "not before its time"
        clock.go(wait)
    assert listening.act(r, hook_id) is None
    assert made(r) == [("ship",)]
    known.errors, known.row = [], {"statusid": "74"}
    assert reconciling.reconcile(r) == 1, "what could not be read is read next"


def test_while_the_box_is_paused_it_is_not_read(r, known):
    connections.close(r.ledger, "onebox", "fault", r.ledger.now(), 10.0**9, "")
    known.row = {"statusid": "74"}
    hook(r, status="Shipped")
    assert made(r) == [("ship",)]
    assert reconciling.reconcile(r) == 0
    assert known.reads == []


def test_reads_that_fail_close_their_own_gate(r, known):
    known.errors = [Forbidden("no right to read")] * 3
    for number in (1, 2, 3):
        assert connections.gate(r.ledger, "onebox", "read").closed_by is None
        assert hook(r, externalid=f"okl-{number}", status="Shipped") is not None
    assert connections.gate(r.ledger, "onebox", "read").closed_by == "fault"
    assert connections.gate(r.ledger, "onebox").closed_by is None
    r.targets["onebox"].read_gate.admit()
    hook(r, externalid="okl-4", status="Done")
    assert len(known.reads) == 3


def test_a_login_that_is_refused_closes_the_gate_of_reads_at_once(r, known):
    known.errors = [errors.AuthFailed("wrong password")]
    assert hook(r, status="Shipped") is not None
    assert connections.gate(r.ledger, "onebox", "read").closed_by == "fault"


def test_many_failing_reads_open_the_breaker_and_the_hooks_count_alone(r, box, clock):
    for number in range(30):
        create(r, str(number))
    box.errors = [TimedOut("hangs")] * 1000
    ids = [
        accepting.take_hook(r, "onebox", {"order_id": str(n), "status": "Done"}) for n in range(30)
    ]
    for hook_id in ids:
        listening.act(r, hook_id)
    assert connections.gate(r.ledger, "onebox", "read").closed_by == "breaker"
    assert len(box.reads) == 20
    assert len(made(r)) == 10


def test_who_finds_no_place_waits_without_a_thread_and_is_rung_for(r, known, rung, clock):
    slots = r.targets["onebox"].read_slots
    for holder in "ab":
        assert slots.acquire(holder, holder)
    hook_id = keep(r, status="Done")
    rung.clear()
    assert listening.act(r, hook_id) is None
    assert (made(r), known.reads) == ([], [])
    assert slots.release("a") == [str(hook_id)]
    listening.act(r, hook_id)
    assert made(r) == [("complete",)]
    assert slots.in_use() == 1
    late = keep(r, status="In work")
    assert slots.acquire("a", "a")
    clock.go(301)
    listening.act(r, late)
    assert len(made(r)) == 1, "for want of a place it waits, and is not believed unread"
    assert slots.release("a") == [str(late)]
    listening.act(r, late)
    assert len(made(r)) == 2


def test_the_reconcile_takes_a_place_too(r, known, clock):
    known.row = {"statusid": "74"}
    clock.go(3600)
    slots = r.targets["onebox"].read_slots
    for holder in "ab":
        assert slots.acquire(holder, holder)
    assert reconciling.reconcile(r) == 0
    assert known.reads == []
    assert slots.release("a") == ["reconcile"]
    assert reconciling.reconcile(r) == 1


def test_a_box_that_does_not_name_its_stages_is_read_by_their_ids(r, known):
    known.names = errors.Rejected("no such method")
    known.row = {"statusid": "73", "customorder_ttn": "9"}
    hook(r, status="Shipped", ttn="9")
    hook(r, status="Done")
    assert made(r) == [("9", "ship"), ("complete",)]


def test_what_cannot_be_worked_off_ends(r, known, clock, monkeypatch):
    def breaks(*_, **__):
        raise ValueError

    monkeypatch.setattr(listening, "_hear", breaks)
    hook_id = keep(r, status="Done")
    while (wait := listening.act(r, hook_id)) is not None:
        clock.go(wait)
    assert outcome(r, hook_id) == "failed"
    assert hooks.due(r.ledger, clock() + timedelta(days=1), 10) == []


def test_a_call_that_was_kept_with_what_no_database_takes_ends(r, known):
    now = r.ledger.now()
    fields = {"orderid": "91\0\ud800", "status": "Done", "comment": "a\0\udfff"}
    statement = insert(HOOKS).values(
        connection=SHOP, fields=fields, received_at=now, next_try_at=now, process="", tries=0
    )
    hook_id = r.ledger.write(lambda db: db.execute(statement.returning(HOOKS.c.id)).scalar_one())
    listening.act(
        r, hook_id
    )  # it learns whose it is, and waits behind what else is open of that process
    listening.act(r, hook_id)
    assert made(r) == [("complete",), ("a",)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"externalid": "other-1", "status": "Done"}, "not_ours"),
        ({"orderid": "12345", "status": "Done"}, "no_order"),
        ({"externalid": "okl-1"}, "nothing_said"),
        ({"externalid": "okl-1", "status": "nobody knows"}, "unknown_stage"),
        ({"externalid": "okl-1", "status": "Shipped", "ttn": "немає"}, "invalid"),
        ({"externalid": "okl-1", "status": "Done"}, "accepted"),
        ({"orderid": "91", "status": "Done"}, "accepted"),
    ],
)
def test_what_came_of_a_call_is_noted(r, known, fields, expected):
    hook_id = accepting.take_hook(r, "onebox", fields)
    listening.act(r, hook_id)
    assert outcome(r, hook_id) == expected


def test_what_comes_in_during_the_work_is_rung_for(r, known, rung):
    real = known.get_orders

    def while_reading(*given):
        if len(known.reads) == 0:
            keep(r, status="Done")
        return real(*given)

    known.get_orders = while_reading
    first = keep(r, status="In work")
    rung.clear()
    listening.act(r, first)
    (_queue, hook_id) = [one for one in rung if one != str(first)]
    listening.act(r, hook_id)
    assert made(r) == [("process",), ("complete",)]


def test_what_is_read_does_not_overtake_calls_that_came_in_meanwhile(r, known):
    """The read shows the box as it is after the later calls: heard first, they would count once more."""
    real = known.get_orders

    def while_reading(*given):
        if len(known.reads) == 0:
            keep(r, statusname="Shipped", ttn="9")
            keep(r, statusname="Done")
            known.row = {"statusid": "74"}
        return real(*given)

    known.get_orders = while_reading
    listening.act(r, keep(r, statusname="In work"))
    assert made(r) == [("process",)]
    listening.act(r, hooks.due(r.ledger, r.ledger.now(), 1)[0])
    assert made(r) == [("process",), ("9", "ship"), ("complete",)]


def test_a_stage_that_only_the_box_can_name_waits_until_it_was_asked(r, known, clock):
    """A worker that was just started knows no names, and the box hangs: alone the call means nothing."""
    known.errors = [TimedOut("hangs")] * 6
    hook_id = keep(r, statusid="72")
    for _ in range(5):
        assert listening.act(r, hook_id) is not None
        clock.go(120)
    assert made(r) == []
    known.errors.clear()
    known.row = {"statusid": "74"}
    clock.go(3600)
    listening.act(r, hook_id)
    assert made(r) == [("process",), ("complete",)]


# --- the reconcile ------------------------------------------------------------------------------------


def test_the_reconcile_does_not_overtake_calls_that_wait(r, known, clock):
    hook_id = keep(r, statusname="Shipped", ttn="9")
    keep(r, statusname="Done")
    known.row = {"statusid": "74"}
    clock.go(3600)
    assert reconciling.reconcile(r) == 0
    listening.act(r, hook_id)
    assert made(r) == [("9", "ship"), ("complete",)]


def test_however_long_the_ledger_a_run_reads_so_many(r, box, clock):
    box.row = {"statusid": "74"}
    now = clock()
    rows = [
        {
            "connection": SHOP, "order_id": str(n), "target": "onebox", "external_id": f"okl-{n}",
            "source": "{}", "content_hash": "h", "received_at": now, "state": "created",
            "state_at": now, "next_try_at": now, "check_at": now - timedelta(seconds=n),
            "heard_stage": "done", "reason": "",
        }
        for n in range(3000)
    ]  # fmt: skip
    r.ledger.write(lambda db: db.execute(insert(ORDERS), rows))
    statements = []
    event.listen(
        r.ledger.engine, "before_cursor_execute", lambda _c, _u, text, *_: statements.append(text)
    )
    assert reconciling.reconcile(r) == 0
    assert len(box.reads) == reconciling.MOST_CALLS
    assert all(len(read) <= reconciling.BATCH for read in box.reads)
    assert box.reads[0][0] == "okl-2999", "the longest due first"
    assert len(statements) < 10 * reconciling.MOST_CALLS
    reconciling.reconcile(r)
    reconciling.reconcile(r)
    assert sum(map(len, box.reads)) == 3000


def test_processes_whose_calls_wait_do_not_keep_the_others_from_being_read(r, box, clock):
    for number in range(reconciling.BATCH):
        create(r, str(number))
        accepting.take_hook(r, "onebox", {"order_id": str(number), "status": "Done"})
    clock.go(1)
    create(r, "last")
    box.row = {"statusid": "74"}
    clock.go(3600)
    assert reconciling.reconcile(r) == 1
    assert len(box.reads) == 2


def test_reads_end_a_run_when_they_fail(r, box, clock):
    for number in range(120):
        create(r, str(number))
    clock.go(3600)
    box.errors = [TimedOut("hangs")] * 1000
    assert reconciling.reconcile(r) == 0
    assert len(box.reads) == reconciling.MOST_FAILED
    box.errors, box.row = [], {"statusid": "74"}
    clock.go(3600)
    assert reconciling.reconcile(r) == 120, "an outage puts nobody off"


# --- what no shop takes -------------------------------------------------------------------------------


def refused(r):
    """What was kept for a person to see, by field."""
    return [row.fates[0]["field"] for row in updates.listing(r.ledger, state="refused")]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("number", ["немає", "20450000000000, 20450000000001", "9" * 30_000])
def test_a_number_that_no_shop_takes_is_seen_and_takes_no_status_down_with_it(
    r, box, is_known, number
):
    if is_known:
        create(r, "1")
    hook(r, status="Shipped", ttn=number)
    hook(r, status="Done")
    assert [one for one in made(r) if one] == [("ship",), ("complete",)]
    assert refused(r) == ["tracking_number"]


def test_a_number_that_is_read_and_no_shop_takes_is_shown_once(r, known, clock):
    known.row = {"statusid": "73", "customorder_ttn": "немає"}
    for _ in range(3):
        clock.go(3600)
        reconciling.reconcile(r)
    assert [one for one in made(r) if one] == [("ship",)]
    assert refused(r) == ["tracking_number"]
    known.row["customorder_ttn"] = "9"
    clock.go(3600)
    reconciling.reconcile(r)
    assert [one for one in made(r) if one] == [("ship",), ("9", "ship")]


def test_a_comment_that_no_shop_takes_is_seen(r, known):
    hook(r, status="Done", comment="a" * 30_000)
    assert [one for one in made(r) if one] == [("complete",)]
    assert refused(r) == ["note"]


# --- stages that nobody has named ---------------------------------------------------------------------


@pytest.mark.parametrize("by_hook", [True, False])
def test_a_box_that_forgets_the_names_for_a_while_makes_nothing_twice(r, known, clock, by_hook):
    """After a start the names are asked for anew, and may be refused: an id is then no other stage."""

    def look():
        clock.go(3600)
        if by_hook:
            hook_id = keep(r, statusid="73", at=str(clock()))
            while (wait := listening.act(r, hook_id)) is not None:
                clock.go(wait)
        reconciling.reconcile(r)

    known.row = {"statusid": "73"}
    look()
    assert made(r) == [("ship",)]
    again = Box(statusid="73")
    again.names = Forbidden("not today")
    r.targets["onebox"] = with_client(r.targets["onebox"], again, r.profiles[SHOP])
    look()
    again.names = STAGES
    r.targets["onebox"].connector.listener.ask_at = float("-inf")
    look()
    assert made(r) == [("ship",)]


def test_a_call_waits_a_while_for_the_name_of_its_stage(r, known, clock):
    known.names = Forbidden("not today")
    known.row = {"statusid": "74"}
    hook_id = keep(r, statusid="72")
    wait = listening.act(r, hook_id)
    assert wait is not None
    known.names = STAGES
    r.targets["onebox"].connector.listener.ask_at = float("-inf")
    clock.go(wait)
    listening.act(r, hook_id)
    assert made(r) == [("process",), ("complete",)]


# --- one process that spoils a run --------------------------------------------------------------------


@pytest.mark.parametrize("spoilt", ["2045\0", "\ud800"])
def test_what_is_read_and_no_database_takes_stops_no_run(r, box, clock, spoilt):
    """In the whole on PostgreSQL; here by what SQLite refuses too."""
    create(r, "1")
    create(r, "2")
    box.row = {"statusid": "74", "customorder_ttn": spoilt}
    clock.go(3600)
    assert reconciling.reconcile(r) == 2
    with r.ledger.read() as db:
        numbers = set(db.execute(select(ORDERS.c.heard_number)).scalars())
    assert numbers <= {None, "2045"}


def test_a_process_that_cannot_be_worked_off_stops_no_other(r, box, clock, monkeypatch):
    for number in range(3):
        create(r, str(number))
    box.row = {"statusid": "74"}
    real = reconciling.stand

    def breaks(profile, process, said, origin):
        if process.order_id == "0":
            raise ValueError
        return real(profile, process, said, origin)

    monkeypatch.setattr(reconciling, "stand", breaks)
    clock.go(3600)
    assert reconciling.reconcile(r) == 2
    assert reconciling.reconcile(r) == 0, "it is not read again at once"
    assert len(box.reads) == 1


@pytest.mark.parametrize("error", [errors.ServerError, Forbidden, errors.Rejected, TimedOut])
def test_a_process_whose_read_fails_alone_stops_no_other(r, box, clock, error):
    for number in range(120):
        create(r, str(number))
    box.row = {"statusid": "74"}
    bad = {"okl-7", "okl-33"}
    real = box.get_orders

    def get_orders(external_ids, fields):
        found = real(external_ids, fields)
        if bad & set(external_ids):
            raise error("not this one")
        return found

    box.get_orders = get_orders
    clock.go(3600)
    runs = [reconciling.reconcile(r) for _ in range(3)]
    assert sum(runs) == 118
    assert len(box.reads) < 60
    box.reads.clear()
    assert reconciling.reconcile(r) == 0
    assert len(box.reads) == 0, "not before its time"


# --- calls that come before the answer ----------------------------------------------------------------


def arrive(r, order_id):
    now = r.ledger.now()
    arrived = [Arrived(order_id, f"okl-{order_id}", "{}", "h", now)]
    (pk,) = orders.store(r.ledger, SHOP, "onebox", arrived, now, mapped_as())
    return orders.claim(r.ledger, pk, now, 60)


def work(r, hook_id, clock):
    while (wait := listening.act(r, hook_id)) is not None:
        clock.go(wait)


def test_a_call_by_number_that_comes_before_our_answer_is_heard_and_in_its_order(
    r, box, clock, rung
):
    claim = arrive(r, "1")
    first = accepting.take_hook(
        r, "onebox", {"orderid": "91", "status": "In work", "comment": "hello"}
    )
    wait = listening.act(r, first)
    assert wait is not None
    accepting.take_hook(r, "onebox", {"orderid": "91", "status": "Refused"})
    orders.record(r.ledger, claim, Outcome("created", target_id="91"), None, clock())
    rung.clear()
    last = accepting.take_hook(
        r, "onebox", {"orderid": "91", "externalid": "okl-1", "status": "Done"}
    )
    assert rung == [last], "those before it were to wait, and are not to any more"
    work(r, last, clock)
    assert made(r) == [("process",), ("hello",), ("cancel", "cancel"), ("complete",)]
    assert hooks.due(r.ledger, clock() + timedelta(days=1), 10) == []


def test_a_call_by_number_is_heard_when_no_other_comes(r, box, clock, rung):
    claim = arrive(r, "1")
    first = accepting.take_hook(r, "onebox", {"orderid": "91", "status": "In work"})
    wait = listening.act(r, first)
    orders.record(r.ledger, claim, Outcome("created", target_id="91"), None, clock())
    clock.go(wait)
    rung.clear()
    assert listening.act(r, first) is None
    assert rung == [first]
    listening.act(r, first)
    assert made(r) == [("process",)]


def test_a_number_that_stays_unknown_ends(r, box, clock):
    arrive(r, "1")
    hook_id = accepting.take_hook(r, "onebox", {"orderid": "92", "status": "Done"})
    started = clock()
    work(r, hook_id, clock)
    assert outcome(r, hook_id) == "no_order"
    assert timedelta(minutes=8) < clock() - started < timedelta(minutes=30)
