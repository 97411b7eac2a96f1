"""How the desk tells the workers of what a person made due: by a ring, which may find nobody.

In: the broker's address, if there is one. Out: `Bells`, each of which says how many messages the broker took.
A broker that is away is no error: the sweeper rings for whatever is due. Called by desk and cli.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger import orders, updates


@dataclass(frozen=True, slots=True)
class Bells:
    """A bell for orders, one for updates, and one for all that is due."""

    orders: Callable[[Sequence[orders.Due]], int]
    updates: Callable[[Sequence[updates.Due]], int]
    sweep: Callable[[], int]


def bells(redis_url: str | None) -> Bells:
    """Those of the broker; without one, bells that nobody hears."""
    if redis_url is None:
        return Bells(lambda _: 0, lambda _: 0, lambda: 0)
    return Bells(_ring_orders, _ring_updates, _ring_for_all)


def hook_bell(redis_url: str | None) -> Callable[[int], int]:
    """A bell for one call of a hook; without a broker one that nobody hears."""
    return (lambda _: 0) if redis_url is None else _ring_hook


def _ring_orders(due: Sequence[orders.Due]) -> int:
    from tasks.doorbell import ring  # noqa: PLC0415  Celery, which only who rings needs

    return ring(due)


def _ring_updates(due: Sequence[updates.Due]) -> int:
    from tasks.doorbell import ring_updates  # noqa: PLC0415  as above

    return ring_updates(due)


def _ring_for_all() -> int:
    from tasks.doorbell import ring_for_all  # noqa: PLC0415  as above

    return ring_for_all()


def _ring_hook(hook_id: int) -> int:
    from tasks.doorbell import ring_hook  # noqa: PLC0415  as above

    return ring_hook(hook_id)
