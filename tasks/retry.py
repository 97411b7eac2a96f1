"""The one retry policy, as data and pure functions. Source: design, "A task's life".

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


def look_up_wait(elapsed: float, uncertain_wait: float) -> float:
    """Seconds until the next look-up of an order whose create got no answer `elapsed` seconds ago.

    Most lost answers belong to calls that did take effect: early look-ups find those, and the last one
    falls just behind `uncertain_wait`. Source: contract onebox, Errors that matter.
    """
    remaining = uncertain_wait - elapsed
    if remaining <= 0:
        return 1.0
    return min(max(remaining / 2, 2.0), remaining + 0.1)
