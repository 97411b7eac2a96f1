"""Whether anybody goes on with what a person made due: nobody is promised what no worker will do.

In: the settings, and the queue that it waits in. Out: nothing, or a sentence that says what is missing and
how to start it. Nothing fails. Called by cli.
"""

from __future__ import annotations

import os

from settings import Settings

START = "Start it with `make run`; its workers, where they are started one by one."
STOPPED = f"The system does not run: this waits until it does. {START}"
AWAY = "Redis does not answer (REDIS_URL): this waits until it does, and then goes by itself."


def silence(chosen: Settings, queue: str) -> str | None:
    """Why nobody goes on; None where a worker serves this queue."""
    if chosen.redis_url is None:
        return STOPPED
    import redis  # noqa: PLC0415  only who has an address of one needs it

    import lanes  # noqa: PLC0415  as above

    store = redis.Redis.from_url(
        chosen.redis_url, socket_connect_timeout=1, socket_timeout=1, retry=None
    )
    try:
        unserved = lanes.unserved(store)
    except redis.RedisError:
        return STOPPED if _has_ended() else AWAY
    finally:
        store.close()
    if queue not in unserved:
        return None
    return f"No worker serves `{queue}`: this waits until one does. {START}"


def _has_ended() -> bool:
    """Whether the run that left its record, and its broker's address, is there no more."""
    recorded = os.environ.get("ORDERBRIDGE_RUN_PID", "")
    if not recorded.isdecimal():
        return False
    try:
        os.kill(int(recorded), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
