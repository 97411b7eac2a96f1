"""The one retry policy, as data and pure functions. Source: docs/architecture.md, "Waits, leases and probes".

In: how often an order was tried, and what the remote asked for. Out: seconds. Called by tasks/creating.
"""

from __future__ import annotations

import random

# Doubling from one second; full at a quarter of an hour; never given up.
FIRST = 1.0
LONGEST = 900.0
# Up to here Celery carries the wait; beyond, only the ledger does and the sweeper rings.
IN_CELERY = 60.0
# A remote that asks for more than this is asked again after this.
RETRY_AFTER_CEILING = 300.0
# Seconds until an order that met what looks like the connection's fault tries again: at first, while nothing
# else goes through, and after each time that others did all the same. Beyond the last it is held.
BLAMED_FIRST = 2.0
BLAMED_AGAIN = 15.0
BLAMED_STRIKES = (5.0, 20.0)
# An order whose calls get no answer is sent again after twice the time each time, in seconds. So many sends
# count while nothing else goes through either: an outage must not put it off for hours.
FIRST_RESEND = 60.0
LONGEST_RESEND = 7200.0
SENDS_OF_AN_OUTAGE = 6


def wait(tries: int, retry_after: float | None = None, *, jitter: float | None = None) -> float:
    """Seconds until the next try after `tries` earlier ones (0: the first failed just now).

    `retry_after` is what the remote asked for, in seconds; it wins, up to the ceiling, and is only ever
    made longer. `jitter` from 0 to 1 is drawn when not given.
    """
    drawn = random.random() if jitter is None else jitter
    if retry_after is not None:
        return min(max(retry_after, 0.0), RETRY_AFTER_CEILING) + drawn
    full = min(FIRST * 2.0 ** min(tries, 20), LONGEST)
    return full * (0.75 + 0.25 * drawn)


def blamed_wait(strikes: int, *, again: bool) -> float | None:
    """Seconds until an order that met what looks like the connection's fault tries again; None: it is held,
    since others went through `strikes` times.
    """
    if strikes == 0:
        return BLAMED_AGAIN if again else BLAMED_FIRST
    return BLAMED_STRIKES[strikes - 1] if strikes <= len(BLAMED_STRIKES) else None


def resend_wait(sends: int) -> float:
    """Seconds until an order may be sent again, of which `sends` calls in a row got no answer."""
    return min(FIRST_RESEND * 2.0 ** (sends - 1), LONGEST_RESEND) if sends >= 2 else 0.0


def look_up_wait(elapsed: float, uncertain_wait: float, resend: float = 0.0) -> float:
    """Seconds until the next look-up of an order whose create got no answer `elapsed` seconds ago.

    Most lost answers belong to calls that did take effect: early look-ups find those, and the last one
    falls just behind `uncertain_wait`. Where the order is not to be sent before `resend`, one look-up
    behind each of the two is enough. Source: docs/contracts/onebox.md, "Errors that matter".
    """
    remaining = uncertain_wait - elapsed
    if resend > uncertain_wait:
        until = uncertain_wait if elapsed < uncertain_wait else resend
        return max(until - elapsed + 0.1, 1.0)
    if remaining <= 0:
        return 1.0
    return min(max(remaining / 2, 2.0), remaining + 0.1)
