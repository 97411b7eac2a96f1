"""Tells people by every channel what needs them: once, by one worker, and whatever another channel does.

In: the resources. Out: messages, and in the ledger what each channel was told. `begin` finds what there is
to say and takes the right to say it; `deliver` says it, which takes until clients/notifier.LIMIT at most,
and is done in a thread of its own. Raises `LedgerUnavailable`; what a channel does not take is logged, and
said later, ever more rarely. Called by tasks/upkeep, by workers at their start and by the command line.
Source: docs/decisions/apprise-tells.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from channels import Channel, not_understood
from clients import notifier
from clients.notifier import Letter
from ledger import telling
from ledger.database import open_ledger
from ledger.faults import LedgerUnavailable
from ledger.telling import Told
from mapping.telling import message, trial_message
from settings import Settings
from tasks.concerns import Found, as_told, ended, found, news
from tasks.resources import Resources

# The right to speak on a channel; longer than it takes.
LEASE = timedelta(seconds=4 * notifier.LIMIT)
# Between two messages on one channel.
GAP = timedelta(minutes=5)
# A channel that takes nothing is tried again after so long, then after twice the time each time.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """What one channel is about to be told, and what is noted once it was."""

    channel: Channel
    token: str
    letter: Letter
    notes: list[Told]
    failures: int


def audible(chosen: Settings) -> list[Channel]:
    """The channels that are spoken on: a sandbox's matters are nobody's off this machine."""
    return [one for one in chosen.notify if one.is_local or not chosen.sandbox]


def demand_understood(chosen: Settings) -> None:
    """Raises SettingsError for an address that apprise does not understand; one of which it could not
    be asked in time is left to its first message.
    """
    if not chosen.notify:
        return
    outcomes = notifier.send([Letter(channel.url) for channel in chosen.notify])
    for channel, outcome in zip(chosen.notify, outcomes, strict=True):
        if outcome == notifier.NOT_UNDERSTOOD:
            raise not_understood(channel)


def begin_anew(chosen: Settings) -> None:
    """A worker that tells starts: what failed is tried at once, since an address may be another now."""
    ledger = open_ledger(chosen.database_url)
    try:
        telling.begin(ledger, [one.name for one in chosen.notify], ledger.now())
    except LedgerUnavailable:
        log.warning("telling_not_noted", channel="all")
    finally:
        ledger.close()


def trial(chosen: Settings) -> list[tuple[Channel, str]]:
    """Send a test to each channel, in a sandbox too, and say what became of it."""
    title, text = trial_message(chosen.language)
    outcomes = notifier.send([Letter(channel.url, title, text) for channel in chosen.notify])
    return list(zip(chosen.notify, outcomes, strict=True))


def begin(r: Resources) -> list[Message]:
    """The messages that this worker may send now."""
    channels, now = audible(r.settings), r.ledger.now()
    if not channels:
        return []
    fares = {one.name: one for one in telling.channels(r.ledger, [c.name for c in channels])}
    due = [c for c in channels if c.name not in fares or fares[c.name].next_try_at <= now]
    what = found(r, now) if due else None
    return [
        message
        for channel in due
        if what is not None and (message := _message(r, channel, what)) is not None
    ]


def _message(r: Resources, channel: Channel, what: Found) -> Message | None:
    now = r.ledger.now()
    told = telling.told(r.ledger, channel.name)
    if not news(what, told, now) and not ended(what, told, news(what, told, now), now):
        return None
    token = telling.claim(r.ledger, channel.name, now, LEASE)
    if token is None:
        return None
    # Again: another worker may have told it since.
    told = telling.told(r.ledger, channel.name)
    said = news(what, told, now)
    over = ended(what, told, said, now)
    if not said:
        telling.end_silently(r.ledger, channel.name, token, over)
        return None
    title, text = message(said, r.settings.language)
    (fares,) = telling.channels(r.ledger, [channel.name])
    letter = Letter(channel.url, title, text)
    return Message(channel, token, letter, [*as_told(said, now), *over], fares.failures)


def deliver(r: Resources, messages: Sequence[Message]) -> None:
    """Send them all at the same time, and note what became of each."""
    outcomes = notifier.send([one.letter for one in messages])
    for one, outcome in zip(messages, outcomes, strict=True):
        try:
            _note(r, one, outcome)
        except LedgerUnavailable:
            # Its right runs out, then it is said once more.
            log.warning("telling_not_noted", channel=one.channel.name)


def _note(r: Resources, one: Message, outcome: str) -> None:
    now, name = r.ledger.now(), one.channel.name
    if outcome == notifier.TAKEN:
        telling.note(r.ledger, name, one.token, one.notes, now, GAP)
        log.info("people_told", channel=name, matters=len(one.notes))
        return
    wait = min(FIRST_WAIT * 2 ** min(one.failures, 20), LONGEST_WAIT)
    telling.note_failure(r.ledger, name, one.token, outcome, now, wait)
    log.warning(
        "channel_takes_nothing",
        channel=name,
        because=outcome,
        failures=one.failures + 1,
        seconds=int(wait.total_seconds()),
    )
