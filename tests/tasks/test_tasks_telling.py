"""People are told once, by whichever worker; what a channel does stops no other; no secret is seen."""

from __future__ import annotations

import importlib
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
import structlog
from task_orders import hold
from webhook import webhook

import channels
from clients import notifier
from connections_file import SettingsError
from ledger import connections, orders
from ledger import telling as ledger_telling
from ledger.faults import LedgerUnavailable
from tasks import checking, telling

SECRET = "a-very-secret-token"
BOX, SHOP = "onebox", "okliving"


@pytest.fixture
def sent(monkeypatch):
    """What was sent, by address; `answers` say what becomes of it."""
    letters = {}
    answers = {}

    def send(found, limit=0.0):
        for one in found:
            if one.text and answers.get(one.url, "taken") == "taken":
                letters.setdefault(one.url, []).append(one.text)
        return [answers.get(one.url, "taken") for one in found]

    monkeypatch.setattr(notifier, "send", send)
    letters["answers"] = answers
    return letters


def told_by(make, *urls, **changes):
    return make(notify=channels.listed(",".join(urls)), fetch_interval=60, **changes)


HERE, THERE = f"json://127.0.0.1:1/{SECRET}", f"json://127.0.0.1:2/{SECRET}"


def tick(r, clock, seconds=60):
    """A minute later the task runs."""
    clock.go(seconds)
    telling.deliver(r, telling.begin(r))


def test_forty_orders_of_one_reason_are_one_message_and_their_end_another(make, clock, sent):
    r = told_by(make, HERE)
    pks = hold(r, 40, "recipient_phone_missing", clock.now)
    tick(r, clock)
    (text,) = sent[HERE]
    assert text.startswith("Held orders of okliving: 40 (40, 39, 38, 37, 36 and 35 more).")
    for _ in range(30):
        tick(r, clock)
    assert len(sent[HERE]) == 1
    for pk in pks:
        orders.ignore(r.ledger, pk, clock.now, who="olena")
    tick(r, clock)
    assert sent[HERE][1:] == ["No order is held any more."]


def test_a_connection_that_is_down_and_back_is_told_in_the_language_of_the_setting(
    make, clock, sent
):
    r = told_by(make, HERE, language="uk")
    connections.close(r.ledger, BOX, "fault", clock.now, 15, "login: refused for a@b.ua")
    tick(r, clock, 119)
    assert HERE not in sent
    tick(r, clock, 1)
    (text,) = sent[HERE]
    assert text.startswith("onebox відмовляє нам з 2026-11-21 12:00 UTC.")
    assert "a@b.ua" not in text
    assert text.endswith("orderbridge check --connection onebox")
    assert connections.open_gate(r.ledger, BOX)
    tick(r, clock, telling.GAP.total_seconds())
    assert sent[HERE][1:] == ["onebox знову працює."]


def test_a_source_that_is_not_read_is_told_and_that_it_is_again(make, clock, sent):
    r = told_by(make, HERE)
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    tick(r, clock, 300)
    assert HERE not in sent
    tick(r, clock, 1)
    assert sent[HERE][0].startswith("okliving was last read well at 2026-11-21 12:00 UTC.")
    clock.go(600)
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    tick(r, clock, 0)
    assert sent[HERE][1:] == ["okliving is read again."]


def test_a_source_that_is_stopped_is_not_told_as_silent_too(make, clock, sent):
    r = told_by(make, HERE)
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    connections.close(r.ledger, SHOP, "breaker", clock.now, 5, "down", "read")
    tick(r, clock, 3600)
    assert "does not answer" in sent[HERE][0]
    assert "last read" not in sent[HERE][0]


@pytest.mark.parametrize(("hours", "told"), [(0, False), (12, True)])
def test_a_source_that_brings_nothing_is_told_only_where_a_setting_says_so(
    make, clock, sent, hours, told
):
    r = told_by(make, HERE, notify_no_orders_hours=hours)
    for _ in range(2):
        poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
        connections.end_poll(r.ledger, poll, clock.now, clock.now)
        clock.go(13 * 3600)
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    tick(r, clock)
    assert [("no new order" in text) for text in sent.get(HERE, [])] == [True] * told
    tick(r, clock, 3600)
    assert "last read" in sent[HERE][-1], "it is not read any more"
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    hold(r, 1, "total_mismatch", clock.now)
    tick(r, clock, 299)
    tick(r, clock, 1)
    assert ("brings orders again" in sent[HERE][-1]) is told
    assert sum("brings orders again" in text for text in sent[HERE]) == told


@pytest.mark.parametrize("graver", ["write", "read"])
def test_what_something_graver_hides_is_not_told_as_over(make, clock, sent, graver):
    r = told_by(make, HERE)
    poll = connections.begin_poll(r.ledger, SHOP, clock.now, 70)
    connections.end_poll(r.ledger, poll, clock.now, clock.now)
    tick(r, clock, 3600)
    assert "last read" in sent[HERE][-1]
    connections.close(r.ledger, SHOP, "breaker", clock.now, 5, "down", graver)
    tick(r, clock, 3600)
    assert "does not answer" in sent[HERE][-1]
    connections.open_gate(r.ledger, SHOP, graver)
    tick(r, clock, 3600)
    assert "works again" in sent[HERE][-1]
    assert "is read again" not in "".join(sent[HERE])


def test_a_connection_that_is_configured_no_more_is_not_said_to_work(make, clock, sent):
    r = told_by(make, HERE)
    connections.close(r.ledger, BOX, "breaker", clock.now, 5, "down")
    tick(r, clock, 3600)
    without = {name: one for name, one in r.settings.connections.items() if name != BOX}
    r = replace(r, settings=replace(r.settings, connections=without))
    tick(r, clock, 3600)
    assert len(sent[HERE]) == 1


def test_two_workers_at_once_tell_it_once(make, clock, sent):
    r = told_by(make, HERE)
    hold(r, 3, "total_mismatch", clock.now)
    clock.go(60)
    first, second = telling.begin(r), telling.begin(r)
    assert (len(first), len(second)) == (1, 0)
    telling.deliver(r, first)
    assert len(sent[HERE]) == 1


def test_a_worker_that_dies_before_it_noted_it_lets_it_be_said_again(make, clock, sent):
    r = told_by(make, HERE)
    hold(r, 3, "total_mismatch", clock.now)
    clock.go(60)
    assert telling.begin(r)  # and is killed
    tick(r, clock, telling.LEASE.total_seconds() - 1)
    assert HERE not in sent
    tick(r, clock, 1)
    assert len(sent[HERE]) == 1


def test_a_channel_that_takes_nothing_is_tried_ever_more_rarely_and_stops_no_other(
    make, clock, sent
):
    r = told_by(make, HERE, THERE)
    sent["answers"][HERE] = "refused_401"
    hold(r, 3, "total_mismatch", clock.now)
    tries = []
    with structlog.testing.capture_logs() as lines:
        for _ in range(600):
            tick(r, clock)
            tries = [one for one in lines if one["event"] == "channel_takes_nothing"]
    assert [one["seconds"] for one in tries] == [
        min(60 * 2**n, 6 * 3600) for n in range(len(tries))
    ]
    assert 8 <= len(tries) <= 10
    assert len(sent[THERE]) == 1
    assert SECRET not in str(lines)
    found = {line.what: line for line in checking._channels(r)}
    assert found["2 json://127.0.0.1"].good
    bad = found["1 json://127.0.0.1"]
    assert not bad.good
    assert "refused_401" in bad.result
    assert "notify test" in bad.mend
    sent["answers"].clear()
    tick(r, clock, telling.LONGEST_WAIT.total_seconds())
    assert len(sent[HERE]) == 1, "it is told how it stands now"
    assert checking._channels(r)[0].good


def test_nothing_is_said_more_often_than_every_five_minutes(make, clock, sent):
    r = told_by(make, HERE)
    for n in range(60):
        connections.close(r.ledger, BOX, "fault", clock.now - timedelta(hours=1), 15, f"reason {n}")
        hold(r, 1, f"code_{n}", clock.now - timedelta(hours=1), first=n)
        tick(r, clock)
        connections.open_gate(r.ledger, BOX)
    assert len(sent[HERE]) <= 12


def test_a_sandbox_tells_nobody_off_this_machine(make, clock, sent):
    r = told_by(make, HERE, f"tgram://{SECRET}/1", "json://example.org")
    assert r.settings.sandbox
    hold(r, 3, "total_mismatch", clock.now)
    tick(r, clock)
    assert set(sent) - {"answers"} == {HERE}


def test_without_a_setting_nothing_is_looked_for(make, clock, sent, monkeypatch):
    r = make()
    monkeypatch.setattr(telling, "found", pytest.fail)
    tick(r, clock)


def test_no_address_that_is_not_understood_is_kept_for_later(make, sent):
    r = told_by(make, HERE, f"tgrm://{SECRET}")
    sent["answers"].update({HERE: "understood", f"tgrm://{SECRET}": "not_understood"})
    with pytest.raises(SettingsError, match=r"number 2 \(tgrm://…\)") as refused:
        telling.demand_understood(r.settings)
    assert SECRET not in str(refused.value)
    sent["answers"][f"tgrm://{SECRET}"] = "silent"
    telling.demand_understood(r.settings)


def test_told_for_real_no_secret_is_in_logs_redis_or_ledger(make, clock, store, tmp_path, capfd):
    """With apprise itself, a webhook that takes it, one that refuses and one that drips."""
    with ExitStack() as stack, structlog.testing.capture_logs() as lines:
        hooks = [stack.enter_context(webhook()) for _ in range(2)]
        hooks[1].answer = 403
        r = told_by(make, *(hook.url(secret=SECRET) for hook in hooks))
        hold(r, 40, "recipient_phone_missing", clock.now)
        tick(r, clock)
        (text,) = hooks[0].bodies
        assert text.startswith("Held orders of okliving: 40")
        assert [one.error for one in ledger_telling.channels(r.ledger, ["2 json://127.0.0.1"])] == [
            "refused_403"
        ]
    r.ledger.close()
    kept = [str(lines), str(capfd.readouterr()), str([store.dump(key) for key in store.keys("*")])]
    kept += [path.read_bytes().decode("latin1") for path in tmp_path.glob("ledger.db*")]
    assert not any(SECRET in one for one in kept)


def serving(monkeypatch, *queues):
    module = importlib.import_module("tasks.app")  # `tasks` has the application by that name

    class Queues:
        consume_from = queues

    monkeypatch.setattr(module, "app", SimpleNamespace(amqp=SimpleNamespace(queues=Queues)))
    return module


def test_the_worker_that_tells_does_not_start_with_an_address_of_nobody(
    make, clock, sent, monkeypatch
):
    r = told_by(make, f"tgrm://{SECRET}")
    sent["answers"][f"tgrm://{SECRET}"] = "not_understood"
    module = serving(monkeypatch, "fetch", "upkeep")
    monkeypatch.setattr(module.settings, "current", lambda: r.settings)
    with pytest.raises(SystemExit, match="number 1") as ended:
        module.refuse_what_would_tell_nobody()
    assert SECRET not in str(ended.value)
    module = serving(monkeypatch, "create")
    module.refuse_what_would_tell_nobody()


def test_a_start_tries_a_channel_that_failed_at_once(make, clock, sent, monkeypatch):
    r = told_by(make, HERE)
    sent["answers"][HERE] = "silent"
    hold(r, 3, "total_mismatch", clock.now)
    tick(r, clock)
    sent["answers"].clear()
    module = serving(monkeypatch, "upkeep")
    monkeypatch.setattr(module.settings, "current", lambda: r.settings)
    module.refuse_what_would_tell_nobody()
    tick(r, clock, 0)
    assert len(sent[HERE]) == 1


def test_the_task_gives_its_thread_back_while_a_channel_hangs(make, clock, monkeypatch):
    from tasks import upkeep  # noqa: PLC0415  after the settings of conftest

    r = told_by(make, HERE)
    hold(r, 3, "total_mismatch", clock.now)
    clock.go(60)
    asked, released = threading.Event(), threading.Event()

    def hanging(letters):
        asked.set()
        released.wait(30)
        return ["taken"] * len(letters)

    monkeypatch.setattr(notifier, "send", hanging)
    monkeypatch.setattr(upkeep, "resources", lambda: r)
    upkeep.tell()
    assert asked.wait(5)
    before = threading.active_count()
    upkeep.tell()
    assert threading.active_count() == before, "nobody else speaks meanwhile"
    released.set()
    (sender,) = [one for one in threading.enumerate() if one.name == "telling"]
    sender.join(5)
    assert set(ledger_telling.told(r.ledger, "1 json://127.0.0.1")) == {
        "held:okliving:total_mismatch"
    }


def test_a_ledger_that_is_away_when_a_message_was_sent_is_said_in_the_log(
    make, clock, sent, monkeypatch
):
    r = told_by(make, HERE)
    hold(r, 3, "total_mismatch", clock.now)
    clock.go(60)
    messages = telling.begin(r)

    def away(*_):
        raise LedgerUnavailable("away")

    monkeypatch.setattr(ledger_telling, "note", away)
    with structlog.testing.capture_logs() as lines:
        telling.deliver(r, messages)
    assert [line["event"] for line in lines] == ["telling_not_noted"]
