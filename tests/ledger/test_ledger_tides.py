"""A ledger that went back in time is noticed by whoever remembers more than it knows, and begins anew."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from ledger import connections, enqueueing, orders, queues, tides, updates
from ledger.database import LedgerUnavailable, open_ledger
from ledger.enqueueing import Asked
from ledger.migrate import upgrade
from ledger.orders import Arrived, Outcome
from ledger.tides import CURSORS, IDENTITY, TIDES, Bounds
from ledger.updates import Due as DueQueue

LEASE = 30.0
BOUNDS = Bounds(("shop",), call=timedelta(seconds=70), effect=timedelta(seconds=120))


class Memory:
    """Remembers at once and for ever, unless it is told to be away."""

    def __init__(self):
        self.kept = {}
        self.away = False

    def heights(self, epoch):
        return None if self.away else dict(self.kept.get(epoch, {}))

    def keep(self, epoch, writer, height):
        if not self.away:
            self.kept.setdefault(epoch, {})[writer] = height

    def newest_epoch(self):
        return None if self.away else max(self.kept, default="")

    def forget(self, epoch, writers):
        for writer in writers:
            self.kept.get(epoch, {}).pop(writer, None)


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def opened(ledger_url, memory):
    """Opens the ledger as another process would."""
    made = []

    def open_it(remembers=None):
        ledger = open_ledger(ledger_url)
        ledger.watch(remembers or memory, BOUNDS)
        made.append(ledger)
        return ledger

    yield open_it
    for ledger in made:
        ledger.close()


def arrived(order_id, stamp=None):
    return Arrived(order_id, f"shop-{order_id}", "{}", f"hash {order_id}", stamp)


def store(ledger, *order_ids, stamp=None):
    some = [arrived(order_id, stamp) for order_id in order_ids]
    now = ledger.now()
    return orders.store(ledger, "shop", "crm", some, now, lambda *_: False)


def row(ledger, order_id):
    (found,) = orders.listing(ledger, ledger.now(), order_id=order_id)
    return found


class Backup:
    """All rows of a ledger, to be put back while others have it open."""

    def __init__(self, ledger):
        self.ledger = ledger
        with ledger.read() as db:
            self.rows = {t: db.execute(select(t)).mappings().all() for t in TABLES}

    def put_back(self):
        """By a process of its own, which raises no tide."""
        with self.ledger.engine.connect() as db:
            if db.dialect.name == "sqlite":
                db.exec_driver_sql("BEGIN IMMEDIATE")
            for table in reversed(TABLES):
                db.execute(table.delete())
            for table in TABLES:
                if self.rows[table]:
                    db.execute(table.insert(), [dict(r) for r in self.rows[table]])
            db.commit()


TABLES = [
    orders.ORDERS,
    updates.QUEUES,
    updates.UPDATES,
    CURSORS,
    IDENTITY,
    TIDES,
]


@pytest.fixture
def backup(ledger_url):
    made = []

    def take():
        other = open_ledger(ledger_url)
        made.append(other)
        return Backup(other)

    yield take
    for other in made:
        other.close()


def standing(ledger):
    with ledger.read() as db:
        return tides.standing(db)


def test_a_ledger_that_only_goes_on_is_left_alone(opened):
    first, second = opened(), opened()
    store(first, "1")
    store(second, "2")
    third = opened()
    for ledger in (first, second, third):
        assert ledger.look_back().epoch == ""
    assert row(third, "1").uncertain_since is None


def test_process_whose_own_last_commit_is_gone_begins_anew_before_it_writes(opened, backup):
    ledger = opened(Memory())
    store(ledger, "1")
    before = backup()
    store(ledger, "2")
    before.put_back()
    with capture_logs() as said:
        (pk,) = store(ledger, "3")
    assert [line["event"] for line in said if line["log_level"] == "critical"] == [
        "ledger_went_back"
    ]
    # Also what came in with that very commit, and what the backup had.
    for order_id in ("1", "3"):
        assert row(ledger, order_id).uncertain_since is not None
    assert orders.claim(ledger, pk, ledger.now(), LEASE).uncertain_since is not None


def test_process_that_starts_learns_from_the_memory_what_others_had_committed(opened, backup):
    first = opened()
    store(first, "1")
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    started = opened()
    assert started.look_back().is_behind
    assert row(started, "1").uncertain_since is not None


def test_a_new_connection_looks_back_before_its_first_commit(opened, backup):
    """Another server takes over: the connections break, and it lacks what another process committed."""
    first, second = opened(), opened()
    (pk,) = store(second, "1")
    before = backup()
    claimed = orders.claim(first, pk, first.now(), LEASE)
    assert claimed.uncertain_since is None
    before.put_back()
    second._drop_connection()
    again = orders.claim(second, pk, second.now(), LEASE)
    assert again.uncertain_since is not None


def test_one_process_begins_anew_and_the_others_learn_it(opened, backup, together):
    ledgers = [opened() for _ in range(6)]
    for number, ledger in enumerate(ledgers):
        store(ledger, f"a{number}")
    before = backup()
    for number, ledger in enumerate(ledgers):
        store(ledger, f"b{number}")
    before.put_back()
    with capture_logs() as said:
        together(lambda n: store(ledgers[n], f"c{n}"), 6)
        epochs = {ledger.look_back().epoch for ledger in ledgers}
    assert len(epochs) == 1
    assert [line["event"] for line in said].count("ledger_went_back") == 1
    assert epochs == {standing(ledgers[0]).epoch}


def test_a_ledger_may_go_back_to_before_it_went_back(opened, backup):
    ledger = opened()
    store(ledger, "1")
    oldest = backup()
    store(ledger, "2")
    oldest.put_back()
    first = ledger.look_back().epoch
    store(ledger, "3")
    oldest.put_back()
    again = opened()
    second = again.look_back().epoch
    assert len({"", first, second}) == 3
    oldest.put_back()
    # Who lived on knows that its epoch came later than the one it finds.
    assert ledger.look_back().epoch not in {"", first, second}


def test_a_memory_that_is_behind_or_away_means_nothing(opened, memory):
    ledger = opened()
    store(ledger, "1")
    memory.kept[""] = dict.fromkeys(memory.kept[""], 0)
    memory.away = True
    store(ledger, "2")
    memory.away = False
    assert opened().look_back().epoch == ""
    memory.kept.clear()
    assert opened().look_back().epoch == ""


def test_a_memory_that_was_away_is_asked_as_soon_as_it_is_back(opened, backup, memory, monkeypatch):
    monkeypatch.setattr("ledger.database.ASK_AGAIN", 0.0)
    first = opened()
    store(first, "1")
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    memory.away = True
    started = opened()
    store(started, "3")
    assert row(started, "3").uncertain_since is None
    memory.away = False
    store(started, "4")
    assert row(started, "3").uncertain_since is not None


def test_commit_whose_answer_was_lost_is_no_proof(opened):
    """The connection broke in COMMIT: the ledger may have it, or not."""
    ledger = opened()
    store(ledger, "1")
    writer, height = next(iter(ledger._confirmed.items()))
    store(ledger, "2")
    ledger._confirmed[writer] = height
    store(ledger, "3")

    def break_off(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.write(break_off)
    store(ledger, "4")
    assert ledger.look_back().epoch == ""


def test_ledger_in_whose_place_another_stands_is_not_worked_with(opened):
    ledger = opened()
    store(ledger, "1")
    other = open_ledger(str(ledger.engine.url.render_as_string(hide_password=False)))
    other.write(lambda db: db.execute(update(IDENTITY).values(id="another")))
    other.close()
    with pytest.raises(LedgerUnavailable, match="Another ledger"):
        ledger.look_back()


# --- what a new beginning does ------------------------------------------------------------------------


@pytest.fixture
def lost(opened, backup):
    """A ledger that loses whatever the given work commits."""

    def lose(work):
        ledger = opened()
        before = backup()
        work(ledger)
        store(ledger, "lost")
        before.put_back()
        ledger.look_back()
        return ledger

    return lose


def claim(ledger, pk):
    return orders.claim(ledger, pk, ledger.now(), LEASE)


@pytest.mark.parametrize("state", ["received", "waiting", "held", "ignored"])
def test_what_is_not_known_as_created_is_looked_up_first(opened, backup, state):
    ledger = opened()
    (pk,) = store(ledger, "1")
    if state != "received":
        now = ledger.now()
        outcome = Outcome(state, next_try_at=now)
        orders.record(ledger, claim(ledger, pk), outcome, None, now)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    began = ledger.now()
    ledger.look_back()
    found = row(ledger, "1")
    assert found.state == state
    # Behind the moment by which a call that the ledger has forgotten is over.
    assert found.uncertain_since >= began + BOUNDS.call - timedelta(seconds=1)
    orders.retry(ledger, pk, ledger.now())
    again = claim(ledger, pk)
    assert (again.uncertain_since, again.lookups) == (found.uncertain_since, 1)


def test_a_created_order_stays_created(opened, backup):
    ledger = opened()
    (pk,) = store(ledger, "1")
    orders.record(ledger, claim(ledger, pk), Outcome("created", target_id="7"), None, ledger.now())
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    found = row(ledger, "1")
    assert (found.state, found.target_id, found.uncertain_since) == ("created", "7", None)


def test_whoever_holds_an_order_holds_it_no_more_and_its_id_is_kept(opened, backup):
    ledger = opened()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    assert claim(ledger, pk) is not None
    outcome = Outcome("created", target_id="7")
    assert orders.record(ledger, held, outcome, None, ledger.now())
    assert (row(ledger, "1").state, row(ledger, "1").target_id) == ("created", "7")


def test_an_id_that_comes_late_is_not_given_to_another_order_with_the_same_key(opened, backup):
    """The row is gone, and its key was given to the next order that came."""
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    store(ledger, "2")
    moved = orders.ORDERS.update().values(id=pk)
    ledger.write(lambda db: db.execute(moved))
    outcome = Outcome("created", target_id="7")
    assert not orders.record(ledger, held, outcome, None, ledger.now())
    assert row(ledger, "2").state == "received"


def test_cursors_move_back_polls_under_way_end_and_unknown_shops_begin_where_it_was(opened, backup):
    ledger = opened()
    known = ledger.now()
    poll = connections.begin_poll(ledger, "other", known, LEASE)
    connections.end_poll(ledger, poll, known, known + timedelta(minutes=5))
    before = backup()
    running = connections.begin_poll(ledger, "other", ledger.now(), LEASE)
    before.put_back()
    ledger.look_back()
    rows = {r.connection: r for r in connections.cursors(ledger)}
    assert rows["other"].watermark <= known - tides.MARGIN + timedelta(seconds=5)
    assert not connections.end_poll(ledger, running, ledger.now(), ledger.now())
    with ledger.read() as db:
        start = db.execute(
            select(CURSORS.c.start_at).where(CURSORS.c.connection == "shop")
        ).scalar_one()
    assert start <= known - tides.MARGIN + timedelta(seconds=5)


def test_order_that_comes_in_before_the_shops_are_read_again_is_looked_up(lost):
    ledger = lost(lambda _: None)
    late = ledger.now() + timedelta(days=1)
    store(ledger, "new", stamp=late)
    found = row(ledger, "new")
    assert found.uncertain_since is not None
    assert found.state == "received"


def test_gap_is_closed_once_every_shop_was_read_to_the_end(lost):
    ledger = lost(lambda _: None)
    ledger.close_gap()
    assert standing(ledger).is_behind
    # A back-fill reads old days, not what is new since.
    day = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, day, ledger.now(), None, whole=False)
    ledger.close_gap()
    assert standing(ledger).is_behind
    poll = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, poll, ledger.now(), ledger.now())
    ledger.close_gap()
    assert not standing(ledger).is_behind


def test_after_the_gap_only_what_was_there_before_it_is_looked_up(lost):
    ledger = lost(lambda _: None)
    poll = connections.begin_poll(ledger, "shop", ledger.now(), LEASE)
    connections.end_poll(ledger, poll, ledger.now(), ledger.now())
    ledger.close_gap()
    store(ledger, "old", stamp=ledger.now() - timedelta(days=300))
    store(ledger, "unstamped")
    store(ledger, "new", stamp=ledger.now() + tides.SHOP_SKEW + timedelta(minutes=1))
    assert row(ledger, "old").uncertain_since is not None
    assert row(ledger, "unstamped").uncertain_since is not None
    assert row(ledger, "new").uncertain_since is None


def test_calls_may_have_been_made_for_what_is_queued(opened, backup):
    ledger = opened()
    now = ledger.now()
    asked = Asked("shop", "1", "d", "http", {"order": "process", "note": "hello"})
    accepted = enqueueing.accept(ledger, asked, now)
    before = backup()
    store(ledger, "lost")
    before.put_back()
    ledger.look_back()
    queue, (queued,), left_behind = queues.claim(ledger, DueQueue("shop", "1"), ledger.now(), LEASE)
    assert queued.id == accepted.id
    assert (queued.in_doubt, left_behind) == (True, False)
    assert queue.doubted
    assert queue.settled_at > now + BOUNDS.call + BOUNDS.effect - timedelta(seconds=5)


def test_writers_that_ended_long_ago_are_forgotten_by_the_memory_first(opened, memory):
    first, second = opened(), opened()
    store(first, "1")
    store(second, "2")
    old, older = sorted(memory.kept[""])
    ages = ((old, timedelta(days=10)), (older, timedelta(days=40)))
    for writer, age in ages:
        with first.engine.begin() as db:
            if db.dialect.name == "sqlite":
                db.exec_driver_sql("BEGIN IMMEDIATE")
            at = datetime.now(UTC) - age
            db.execute(update(TIDES).where(TIDES.c.writer == writer).values(at=at))
    third = opened()
    store(third, "3")
    known = []
    for _ in range(2):
        third.forget_silent()
        assert third.look_back().epoch == ""
        assert set(memory.kept[""]) & {old, older} == set()
        with third.read() as db:
            known.append(older in set(db.execute(select(TIDES.c.writer)).scalars()))
    assert known == [True, False]


def test_a_file_put_back_is_noticed_at_the_next_start(tmp_path, migrated_file, memory):
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "1")
    shutil.copy(path, tmp_path / "copy.db")
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "2")
    shutil.copy(tmp_path / "copy.db", path)
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "3")
        assert standing(ledger).is_behind
        assert row(ledger, "1").uncertain_since is not None


# --- alarms that would be false, and rollbacks that would be overlooked --------------------------------


def age_of_tides(ledger, by):
    with ledger.engine.begin() as db:
        if db.dialect.name == "sqlite":
            db.exec_driver_sql("BEGIN IMMEDIATE")
        db.execute(update(TIDES).values(at=datetime.now(UTC) - by))


def test_process_that_lives_for_months_takes_no_forgotten_tide_for_a_lost_one(
    opened, memory, monkeypatch
):
    """It reconnected long ago, or has written nothing for long: the ledger has let go of its tides."""
    clock = [1000.0]
    monkeypatch.setattr("ledger.database.elapsed", lambda: clock[0], raising=False)
    idle, reconnected, other = opened(), opened(), opened()
    store(idle, "1")
    store(reconnected, "2")
    reconnected._drop_connection()
    clock[0] += timedelta(days=40).total_seconds()
    age_of_tides(other, timedelta(days=40))
    store(other, "3")
    for _ in range(2):
        other.forget_silent()
    with other.read() as db:
        assert len(set(db.execute(select(TIDES.c.writer)).scalars())) == 1
    store(reconnected, "4")
    store(idle, "5")
    for ledger in (reconnected, idle, other):
        assert ledger.look_back().epoch == ""


def test_ledger_that_was_replaced_by_an_older_one_for_a_while_is_noticed_when_it_is_put_back(
    opened, backup
):
    """The wrong backup was restored, or a server took over for an hour: then the old one comes back, as
    high as it was ever known to be in its own epoch.
    """
    first = opened()
    store(first, "1")
    wrong = backup()
    store(first, "2")
    right = backup()
    first.close()
    wrong.put_back()
    second = opened()
    store(second, "sent meanwhile")
    assert second.look_back().is_behind
    second.close()
    right.put_back()
    third = opened()
    store(third, "sent meanwhile")
    assert row(third, "sent meanwhile").uncertain_since is not None
    epoch = third.look_back().epoch
    assert opened().look_back().epoch == epoch


def test_process_that_only_writes_learns_the_new_epoch_and_is_remembered_in_it(
    opened, backup, memory
):
    """It never polls, nor beats; and its connection holds."""
    writer, other = opened(), opened()
    store(writer, "1")
    store(other, "2")
    before = backup()
    store(other, "3")
    before.put_back()
    epoch = other.look_back().epoch
    (pk,) = store(writer, "4")
    again = backup()
    claim(writer, pk)
    assert set(writer._confirmed) <= set(memory.kept[epoch])
    writer.close()
    again.put_back()
    assert opened().look_back().epoch != epoch


def test_a_read_that_lags_behind_raises_no_alarm(opened, monkeypatch):
    """Reads may go to a standby that has not yet all that was committed."""
    ledger = opened()
    store(ledger, "1")
    old = standing(ledger)
    store(ledger, "2")
    monkeypatch.setattr(ledger, "_stand", lambda: old)
    assert ledger.look_back().epoch == ""
    monkeypatch.undo()
    assert ledger.look_back().epoch == ""
    assert row(ledger, "1").uncertain_since is None


def test_two_threads_of_one_process_that_notice_at_once_begin_one_epoch(
    opened, backup, together, monkeypatch
):
    ledger = opened()
    store(ledger, "1")
    before = backup()
    store(ledger, "2")
    before.put_back()
    looked = threading.Barrier(4)
    compare = ledger._compare

    def wait_for_all():
        found = compare()
        looked.wait(20)
        return found

    monkeypatch.setattr(ledger, "_compare", wait_for_all)
    with capture_logs() as said:
        together(lambda _: ledger.look_back(), 4)
    assert [line["event"] for line in said].count("ledger_went_back") == 1


def test_a_migration_of_what_was_put_back_does_not_hide_how_old_it_is(opened, backup, ledger_url):
    """Whoever restores a ledger migrates it before its first process starts."""
    first = opened()
    store(first, "1")
    age_of_tides(first, timedelta(days=3))
    before = backup()
    store(first, "2")
    first.close()
    before.put_back()
    upgrade(ledger_url, sandbox=True)
    started = opened()
    with capture_logs() as said:
        store(started, "3")
    (alarm,) = [line for line in said if line["event"] == "ledger_went_back"]
    assert datetime.fromisoformat(alarm["known_until"]) < datetime.now(UTC) - timedelta(days=2)
    with started.read() as db:
        start = db.execute(
            select(CURSORS.c.start_at).where(CURSORS.c.connection == "shop")
        ).scalar_one()
    assert start < datetime.now(UTC) - timedelta(days=2)


def test_memory_that_hangs_holds_up_no_writer_that_has_looked_already(opened, memory, monkeypatch):
    monkeypatch.setattr("ledger.database.ASK_AGAIN", 0.0)
    ledger = opened()
    store(ledger, "1")
    memory.away = True
    ledger.look_back()
    asked = []
    monkeypatch.setattr(memory, "heights", asked.append)
    store(ledger, "2")
    assert asked == []


def test_late_outcome_of_an_order_whose_key_another_one_has_blames_nobody(opened, backup):
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    assert orders.doubled(ledger, held, "7") is None
    store(ledger, "2")
    created = orders.ORDERS.update().values(id=pk, state="created", target_id="8")
    ledger.write(lambda db: db.execute(created))
    assert orders.doubled(ledger, held, "7") is None
    assert row(ledger, "2").problems == []


@pytest.mark.parametrize("first", ["write", "look"])
def test_file_in_whose_place_another_was_put_is_opened_anew(tmp_path, migrated_file, memory, first):
    """A copy is moved to where the ledger was while a process, such as the gateway, has it open: what it
    commits from then on must be in the file that others see, or nobody will ever see it.
    """
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger, closing(open_ledger(url)) as other:
        ledger.watch(memory, BOUNDS)
        other.watch(memory, BOUNDS)
        store(ledger, "1")
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(tmp_path / "c")) as to,
        ):
            source.backup(to)
        store(ledger, "2")
        store(other, "3")
        for ending in ("-wal", "-shm"):
            (tmp_path / f"ledger.db{ending}").unlink(missing_ok=True)
        (tmp_path / "c").rename(path)
        if first == "look":
            assert ledger.look_back().is_behind
        store(ledger, "4")
        with closing(sqlite3.connect(path)) as db:
            found = {one for (one,) in db.execute("SELECT order_id FROM orders")}
        assert found == {"1", "4"}
        assert row(ledger, "4").uncertain_since is not None
        assert other.look_back().epoch == ledger.look_back().epoch != ""
        assert {one.order_id for one in orders.listing(other, other.now())} == {"1", "4"}


def test_file_that_is_gone_takes_no_commit(tmp_path, migrated_file, memory):
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{shutil.copy(migrated_file, path)}"
    with closing(open_ledger(url)) as ledger:
        ledger.watch(memory, BOUNDS)
        store(ledger, "1")
        path.rename(tmp_path / "aside")
        for work in (lambda: store(ledger, "2"), ledger.look_back):
            with pytest.raises(LedgerUnavailable):
                work()
        assert not path.exists()
        (tmp_path / "aside").rename(path)
        store(ledger, "3")
        assert ledger.look_back().epoch == ""


@pytest.mark.parametrize("taken", [False, True])
def test_outcome_of_an_order_that_is_gone_fails_no_one_and_is_told_of_no_other(
    opened, backup, taken
):
    ledger = opened()
    before = backup()
    (pk,) = store(ledger, "1")
    held = claim(ledger, pk)
    before.put_back()
    ledger.look_back()
    if taken:
        store(ledger, "2")
        ledger.write(lambda db: db.execute(orders.ORDERS.update().values(id=pk)))
    now = ledger.now()
    tried = orders.Try("create", now, 1, "created")
    assert not orders.record(ledger, held, Outcome("created", target_id="7"), tried, now)
    with ledger.read() as db:
        assert db.execute(select(orders.ATTEMPTS.c.id)).all() == []
