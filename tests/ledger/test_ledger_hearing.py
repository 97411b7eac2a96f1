"""What was heard of a process: each change counts once, whoever brings it, and is read again in good time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from mapped_as import mapped_as
from sqlalchemy import event, select

from ledger import hearing, hook_intake, hooks, orders, tides, updates, watching
from ledger.enqueueing import Asked
from ledger.orders import Arrived, Outcome
from ledger.tables import ORDERS
from ledger.transitions import Again, Process, Remark, Stand

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOP = "okliving"
PROCESS = Process(SHOP, "1", "okl-1")
ACTIONS = {"in work": "process", "refused": "cancel", "done": "complete"}


def at(**later):
    return NOW + timedelta(**later)


def stand(stage, number=None):
    action = ACTIONS.get(stage)
    asked = None
    if action or number:
        meant = {"tracking_number": number, "order": action}
        parts = {name: value for name, value in meant.items() if value}
        asked = Asked(SHOP, "1", f"{action}{number}", "onebox", parts)
    return Stand(stage, number, asked, (f"onebox:okl-1:{stage}:{number or ''}",))


def remark(call, note="hello", said_at=NOW):
    return Remark(Asked(SHOP, "1", note, "onebox", {"note": note}, key=f"call:{call}"), said_at)


def hear(ledger, *told, now=NOW, read=True, process=PROCESS, begin=None):
    return hearing.hear(
        ledger, process, told, now, through=frozenset({"done"}), read=read, begin=begin
    )


def accepted(ledger):
    said = [u.values for u in reversed(updates.listing(ledger))]
    return [one.get("order") or one.get("tracking_number") or one.get("note") for one in said]


def check_at(ledger, order_id="1"):
    with ledger.read() as db:
        query = select(ORDERS.c.check_at).where(ORDERS.c.order_id == order_id)
        return db.execute(query).scalar_one()


def create(ledger, order_id="1", now=NOW):
    arrived = [Arrived(order_id, f"okl-{order_id}", "{}", "h", now)]
    (pk,) = orders.store(ledger, SHOP, "onebox", arrived, now, mapped_as())
    claim = orders.claim(ledger, pk, now, 60)
    orders.record(ledger, claim, Outcome("created", target_id=order_id), None, now)


@pytest.fixture
def known(ledger):
    create(ledger)
    return ledger


def test_the_same_stage_later_again_is_an_update_again(known):
    for stage in ("in work", "in work", "refused", "in work", "in work"):
        hear(known, stand(stage))
    assert accepted(known) == ["process", "cancel", "process"]


def test_all_that_was_told_counts_in_its_order(known):
    hear(known, stand("in work"), stand("refused"), stand(None, "42"), stand("done", "42"))
    assert accepted(known) == ["process", "cancel", "42", "complete"]
    hear(known, stand("done"), stand(None, "42"))
    assert len(accepted(known)) == 4


def test_a_stage_without_an_update_is_heard_all_the_same(known):
    for stage in ("in work", "packing", "in work"):
        hear(known, stand(stage))
    assert accepted(known) == ["process", "process"]


def test_many_who_hear_the_same_at_once_make_it_once(known, together):
    together(lambda _: hear(known, stand("done", "42")), 8)
    assert accepted(known) == ["complete"]


def test_a_lost_lease_hears_nothing(known):
    assert hear(known, stand("done"), begin=lambda _: False) is None
    assert accepted(known) == []


def test_hearing_and_the_end_of_the_call_are_one_transaction(known):
    hook_id, _ = hook_intake.keep(known, SHOP, "okl-1", {}, NOW)
    claim = hooks.claim(known, hooks.find(known, hook_id), NOW, 60)

    def end(db):
        return hooks.end_in(db, claim, NOW)

    broken = replace(stand("done"), asked=replace(stand("done").asked, digest=None))
    with pytest.raises(Exception, match="digest"):
        hear(known, broken, begin=end)
    assert hooks.find(known, hook_id) is not None
    assert hear(known, stand("done"), begin=end).accepted == 1
    assert hooks.find(known, hook_id) is None
    assert hear(known, stand("in work"), begin=end) is None
    assert accepted(known) == ["complete"]


def test_a_comment_comes_again_when_it_is_said_again_later(known):
    hear(known, remark(1))
    hear(known, remark(2, said_at=at(minutes=4)), now=at(minutes=4))
    assert accepted(known) == ["hello"]
    hear(known, remark(3, "other", at(minutes=4)), now=at(minutes=4))
    hear(known, remark(4, said_at=at(minutes=6)), now=at(minutes=6))
    assert accepted(known) == ["hello", "other", "hello"]


def test_comments_worked_off_together_are_told_apart_by_when_they_were_said(known):
    said = [remark(n, said_at=at(minutes=m)) for n, m in enumerate((0, 4, 20))]
    hear(known, *said, now=at(minutes=21))
    assert accepted(known) == ["hello", "hello"]


def test_what_is_heard_while_the_gap_of_a_ledger_that_went_back_is_open_may_have_been_sent(known):
    """It was heard, and sent, by what the ledger has forgotten: refused, it must not hold up what follows."""
    hear(known, stand("in work"))
    known.write(lambda db: tides.begin_anew(db, tides.standing(db), NOW, tides.Bounds()))
    hear(known, stand("refused"))
    assert [one.in_doubt for one in updates.listing(known)] == [True, True]
    known.write(lambda db: tides.close_gap(db, [], NOW))
    hear(known, stand("in work"), now=at(hours=1))
    assert updates.listing(known)[0].in_doubt is False


def test_of_a_process_that_is_not_known_a_state_is_told_once(ledger):
    for _ in range(2):
        hear(ledger, stand("in work"), stand("packing"), remark(1))
    assert accepted(ledger) == ["process", "hello"]
    create(ledger)
    hear(ledger, stand("in work"))
    assert accepted(ledger) == ["process", "hello"]
    hear(ledger, stand("done"))
    hear(ledger, stand("in work"))
    assert accepted(ledger) == ["process", "hello", "complete", "process"]


def test_of_a_process_that_is_not_known_a_stage_after_another_one_is_told_again(ledger):
    """After a ledger that went back an order is unknown for seconds: its stages count meanwhile, too."""
    visited = ("in work", "refused", "in work", "in work", "refused", "in work")
    for stage in visited:
        hear(ledger, stand(stage))
    told = ["process", "cancel", "process", "cancel", "process"]
    assert accepted(ledger) == told
    create(ledger)
    hear(ledger, stand("in work"))
    assert accepted(ledger) == told
    hear(ledger, stand("refused"))
    assert accepted(ledger) == [*told, "cancel"]


def test_the_first_that_is_heard_of_a_known_process_is_compared_with_the_newest_from_before(ledger):
    hear(ledger, stand("in work"), stand("refused"))
    create(ledger)
    hear(ledger, stand("in work"))
    assert accepted(ledger) == ["process", "cancel", "process"]


def test_a_stage_of_an_unknown_process_that_is_told_again_by_a_person_may_be_past(ledger):
    hear(ledger, stand("in work"), stand("refused"))
    again = replace(stand("in work"), again=Again(NOW, None))
    hear(ledger, again)
    assert accepted(ledger) == ["process", "cancel"]


def test_a_state_under_whose_key_stands_something_else_is_told_of(ledger):
    hear(ledger, stand("in work"))
    other = replace(stand("in work"), asked=replace(stand("in work").asked, digest="other"))
    assert hear(ledger, other).reused == 1


# --- when it is read next -----------------------------------------------------------------------------


def due(ledger, now, most=100):
    return [row.process.order_id for row in watching.watched(ledger, "onebox", now, most)]


def test_a_new_process_is_read_after_ten_minutes(known):
    assert due(known, at(minutes=9)) == []
    assert due(known, at(minutes=10)) == ["1"]


def test_an_id_that_comes_late_is_read_too(ledger):
    arrived = [Arrived("1", "okl-1", "{}", "h", NOW)]
    (pk,) = orders.store(ledger, SHOP, "onebox", arrived, NOW, mapped_as())
    lost = orders.claim(ledger, pk, NOW, 60)
    orders.claim(ledger, pk, at(seconds=61), 60)
    assert orders.record(ledger, lost, Outcome("created", target_id="7"), None, at(seconds=62))
    assert check_at(ledger) == at(seconds=62, minutes=10)


def test_an_order_that_is_not_created_is_not_read(ledger):
    arrived = [Arrived("1", "okl-1", "{}", "h", NOW)]
    orders.store(ledger, SHOP, "onebox", arrived, NOW, mapped_as())
    hear(ledger, stand("in work"), read=False)
    assert due(ledger, at(days=99)) == []


def test_what_could_not_be_read_is_read_next(known):
    hear(known, stand("in work"), read=False, now=at(minutes=1))
    assert due(known, at(minutes=1)) == ["1"]


def test_old_processes_are_read_ever_more_rarely_and_then_no_more(known):
    reads, now = [], NOW
    while (now := check_at(known)) is not None:
        reads.append(now - NOW)
        watching.unchanged(known, watching.watched(known, "onebox", now, 10), now, frozenset())
    gaps = [later - earlier for earlier, later in pairwise(reads)]
    assert gaps[0] == timedelta(minutes=10)
    assert gaps == sorted(gaps)
    assert max(gaps) == timedelta(days=1)
    assert timedelta(days=30) < reads[-1] < timedelta(days=32)
    assert len(reads) < 60


def test_a_change_makes_a_process_young_again_and_a_finished_one_is_let_go_sooner(known):
    hear(known, stand("in work"), now=at(days=20))
    assert check_at(known) == at(days=20, minutes=10)
    hear(known, stand("done"), now=at(days=21))
    hear(known, stand("done"), now=at(days=23))
    assert check_at(known) == at(days=23, hours=12)
    hear(known, stand("done"), now=at(days=24, minutes=1))
    assert check_at(known) is None
    hear(known, stand("in work"), now=at(days=25))
    assert check_at(known) == at(days=25, minutes=10)


def test_the_longest_due_come_first_and_no_more_than_asked_by_their_index(ledger):
    for number in range(5):
        create(ledger, str(number), at(minutes=number))
    assert due(ledger, at(minutes=13), 3) == ["0", "1", "2"]
    statements = []
    event.listen(
        ledger.engine, "before_cursor_execute", lambda _c, _u, text, *_: statements.append(text)
    )
    due(ledger, at(minutes=13))
    assert "check_at IS NOT NULL" in statements[-1]
