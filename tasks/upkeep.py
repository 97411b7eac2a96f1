"""What keeps the house in order: the sweeper, the pulse, the purge, and who is told that a person is
needed.

In: the ledger. Out: doorbells for what is due, messages to people, and blanked personal data. Beat runs
them; each is safe to run twice and costs little when there is nothing to do.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

import structlog
from redis.exceptions import RedisError

from ledger import connections, expiring, hooks, orders, purging, queues, tallies, waking
from ledger.tenants import forgetting
from tasks import telling
from tasks.app import app
from tasks.doorbell import ring, ring_hook, ring_updates, ring_waiting
from tasks.resources import Remote, Resources, resources

# Chunks of orders that a sweep or a pulse makes due after an outage; the next one goes on.
MOST_CHUNKS = 100
# Orders of targets that are configured no more which one sweep sees to.
MOST_ASTRAY = 100
# An order this fresh in its state has its message on the way, in seconds.
GRACE = 10.0
# Hook calls that a sweep rings for: those that then find no place wait for it without a message.
MOST_HOOKS = 100
# Seconds that a worker counts as seen; /readyz asks.
SEEN = 30
SEEN_KEY = "ob:worker:seen"

log = structlog.get_logger()


@app.task(name="upkeep.sweep", ignore_result=True, acks_late=True)
def sweep(grace: float = GRACE) -> None:
    """Ring for every order, update queue and hook call that has been due for `grace` seconds and that
    nobody works on, the oldest first.
    """
    r = resources()
    if orders.leave_shadow(
        r.ledger, _live(r.sources), _live(r.targets), r.ledger.now(), MOST_CHUNKS
    ):
        grace = 0.0  # of these no message is on the way
    _wake(r)
    for target in r.targets.values():
        rung = _sweep(r, target, grace)
        if rung:
            log.info("swept", target=target.name, rung=rung)
    ring(orders.astray(r.ledger, list(r.targets), MOST_ASTRAY))
    for source in r.sources.values():
        rung = _sweep_updates(r, source, grace)
        if rung:
            log.info("updates_swept", connection=source.name, rung=rung)
    for hook_id in hooks.due(r.ledger, r.ledger.now(), MOST_HOOKS, grace):
        ring_hook(hook_id)


def _live(remotes: Mapping[str, Remote]) -> list[str]:
    """Those that may be written to."""
    return [name for name, remote in remotes.items() if remote.connection.mode == "live"]


def _sweep_updates(r: Resources, source: Remote, grace: float) -> int:
    if (
        source.connection.mode != "live"
        or connections.gate(r.ledger, source.name).closed_by is not None
    ):
        return 0
    most = r.room("updates")
    return ring_updates(queues.due(r.ledger, source.name, r.ledger.now(), most, grace))


def _sweep(r: Resources, target: Remote, grace: float) -> int:
    # Asked anew: what has just opened is swept at once.
    if connections.gate(r.ledger, target.name).closed_by is not None:
        return 0  # the pulse lets it be tried; when it opens, everything is rung for
    most = r.room("create", target.slots.in_line())
    return ring(orders.due(r.ledger, target.name, r.ledger.now(), most, grace))


@app.task(name="upkeep.pulse", ignore_result=True, acks_late=True)
def pulse() -> None:
    """Every few seconds: say that a worker lives, let closed gates be tried, call up who waits in line, wake
    what waited for a gate that has opened, and count what is too much to be counted when somebody asks.
    """
    r = resources()
    try:
        r.redis.set(SEEN_KEY, "1", ex=SEEN)
    except RedisError:
        log.warning("pulse_not_kept")
    r.ledger.measure_clock()
    r.ledger.look_back()
    r.ledger.close_gap()
    now = r.ledger.now()
    for target in r.targets.values():
        row = target.gate.row()
        if row.closed_by is None:
            ring_waiting(target.slots.call_up(100))
        elif row.probe_at is not None and row.probe_at <= now:
            # Also when every order waits for a later time: the gate must not stay closed for that.
            ring(orders.probe(r.ledger, target.name, now))
    for source in r.sources.values():
        row = source.gate.row()
        if row.closed_by is not None and row.probe_at is not None and row.probe_at <= now:
            ring_updates(queues.probe(r.ledger, source.name, now))
    _wake(r)
    tallies.refresh(r.ledger, now)


def _wake(r: Resources) -> None:
    """Go on making due what waited for gates that have opened since."""
    for gate in waking.gates_waking(r.ledger):
        if waking.wake(r.ledger, gate, MOST_CHUNKS):
            waking.is_awake(r.ledger, gate)


@app.task(name="upkeep.tell", ignore_result=True, acks_late=True)
def tell() -> None:
    """Tell people by ORDERBRIDGE_NOTIFY what needs them. A channel may hang, so that is done in a
    thread of its own, which no lane waits for; a worker that ends meanwhile lets the next one say it
    again.
    """
    r = resources()
    messages = telling.begin(r)
    if messages:
        threading.Thread(
            target=telling.deliver, args=(r, messages), name="telling", daemon=True
        ).start()


@app.task(name="upkeep.purge", ignore_result=True, acks_late=True)
def purge() -> None:
    """What ended longer ago than the retention setting: blank personal data of orders and updates, delete
    their attempts, the hook calls and the history; ids stay. What waited for a person for too long is ended
    first. Then what was blanked goes out of the files of the ledger and of the broker as well.
    """
    r = resources()
    r.ledger.forget_silent()
    now, days = r.ledger.now(), r.settings
    before = now - timedelta(days=days.retention_days)
    held_before = now - timedelta(days=days.held_retention_days)
    log.info(
        "purged",
        held=expiring.held(r.ledger, held_before, now),
        parked=expiring.parked(r.ledger, held_before, now),
        orders=purging.orders(r.ledger, before),
        updates=purging.updates(r.ledger, before),
        answers=purging.answers(r.ledger, now - timedelta(days=days.answer_retention_days)),
        attempts=purging.attempts(r.ledger, before),
        hook_calls=purging.hook_calls(r.ledger, before),
        intake=purging.intake(r.ledger, before),
        history=purging.history(r.ledger, before),
        reasons=purging.reasons(r.ledger, before),
        accounts=forgetting.accounts(r.ledger, before),
    )
    if not r.ledger.empty_log():
        log.warning("ledger_log_kept")
    _rewrite_append_only_file(r)


def _rewrite_append_only_file(r: Resources) -> None:
    """What went through the broker stands in its file until that is rewritten: by itself, once it has
    doubled from 64 MB, which may be never. Source: valkey.io/topics/persistence, "Log rewriting".
    """
    try:
        r.redis.bgrewriteaof()
    except RedisError as exc:
        log.warning("append_only_file_kept", error=type(exc).__name__)
