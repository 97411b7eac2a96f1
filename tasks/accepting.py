"""Takes an update from any door into the ledger, and rings for its order's queue.

In: a validated request, who asked, an optional idempotency key. Out: the update as it stands, written
before this returns. Fails with `KeyReused` for a key that was used for something else, with
`UnknownConnection`, and with `LedgerUnavailable`. Called by the gateway, the command line and the task
`updates.enqueue`: one producer, four doors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import structlog

from ledger import enqueueing, hooks, orders
from ledger.enqueueing import Asked, KeyReused, Refusal
from ledger.updates import Due, Told, Update
from mapping.problems import Problem
from mapping.request import Errors, UpdateRequest, digest
from tasks.doorbell import ring_hook, ring_updates
from tasks.resources import Resources

# What the ledger keeps of a key, and of the id of an order.
LONGEST_KEY = 200
LONGEST_ID = 64
# Before the CRM's number of a process whose order is not known.
NUMBER = "#"
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")

log = structlog.get_logger()


class UnknownConnection(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """No source has this name."""


def accept(
    r: Resources,
    request: UpdateRequest,
    *,
    origin: str,
    key: str | None = None,
    ring: Callable[[list[Due]], object] | None = None,
) -> Update:
    """Write the update behind the others of its order, and ring."""
    connection = source_named(r, request.connection)
    request = replace(request, connection=connection)
    wanted = asked(request, origin=origin, key=key)
    row = enqueueing.accept(r.ledger, wanted, r.ledger.now())
    if row.state == "queued":
        (ring or ring_updates)([Due(row.connection, row.order_id)])
    return row


def read(
    r: Resources, raw: Mapping[str, Any], *, flat: bool = False
) -> tuple[UpdateRequest | None, Errors]:
    """Read an update by the rules of its source, in the form of the HTTP door or in the flat one; of one
    that names no source that there is, by those of any: its form is said to be wrong before its name is.
    """
    named = raw.get("connection")
    name = named if isinstance(named, str) and named in r.sources else next(iter(r.sources), None)
    if name is None:
        return None, {"connection": ["There is no shop connection."]}
    return r.sources[name].feedback.validate(raw, flat=flat)


def source_named(r: Resources, connection: str | None) -> str:
    """The name of a source; without one the only one that there is. Raises UnknownConnection."""
    if connection is None and len(r.sources) == 1:
        return next(iter(r.sources))
    if connection is None:
        raise UnknownConnection(f"Say which shop connection: {', '.join(sorted(r.sources))}.")
    if connection not in r.sources:
        raise UnknownConnection(f"There is no shop connection called {connection!r}.")
    return connection


def accept_flat(
    r: Resources, fields: dict[str, Any], *, origin: str, key: str | None = None
) -> Update | None:
    """As `accept`, for a door that cannot answer: what is refused is kept for a person to see."""
    request, errors = read(r, fields, flat=True)
    if request is not None:
        own = request.key or key
        try:
            return accept(r, request, origin=origin, key=own and f"{origin}:{own}")
        except KeyReused:
            errors = {"key": ["This key was used before, for another update."]}
        except UnknownConnection as exc:
            errors = {"connection": [str(exc)]}
    refused = refusal(_meant(r, fields), fields.get("order_id", ""), errors, origin=origin)
    update_id = enqueueing.refuse(r.ledger, refused, r.ledger.now())
    log.warning("update_refused", update_id=update_id, fields=sorted(errors))
    return None


def _meant(r: Resources, fields: Mapping[str, Any]) -> object:
    """Which source a refused update is shown under."""
    named = fields.get("connection")
    return next(iter(r.sources), "") if named is None else named


def refusal(
    connection: object, order_id: object, errors: Mapping[str, list[str]], *, origin: str
) -> Refusal:
    """What was asked and cannot be taken, as it is kept for a person to see."""
    told = [
        Told(code="update_invalid", level="held", field=field, detail=" ".join(texts))
        for field, texts in errors.items()
    ]
    asked = Asked(_shown(connection), _shown(order_id), digest="", origin=origin)
    return Refusal(asked, "update_invalid", told)


def _kept(key: str) -> str:
    """The key as the ledger keeps it: one that is too long by its hash."""
    if len(key) <= LONGEST_KEY:
        return key
    return "blake2b:" + blake2b(key.encode(), digest_size=32).hexdigest()


def _shown(value: object) -> str:
    """What a refused update said, fit for the ledger: PostgreSQL takes no NUL, nothing takes half a pair."""
    return "".join(filter(str.isprintable, str(value)))[:LONGEST_ID]


def asked(request: UpdateRequest, *, origin: str, key: str | None = None) -> Asked:
    """The request in the ledger's words."""
    return Asked(
        connection=request.connection or "",
        order_id=request.order_id,
        digest=digest(request),
        origin=origin,
        parts=request.parts,
        personal=request.personal,
        options=request.options,
        key=None if key is None else _kept(key),
        warnings=tuple(_told(problem) for problem in request.warnings),
    )


def _told(problem: Problem) -> Told:
    return Told(
        code=problem.code,
        level=problem.level,
        field=problem.field,
        before=problem.before,
        after=problem.after,
        detail=problem.detail,
    )


def take_hook(
    r: Resources,
    connection: str,
    fields: dict[str, Any],
    ring: Callable[[int], object] | None = None,
) -> int:
    """Keep a call of the OneBox hook as it came, and ring for a worker unless one is at its process
    already; returns its key.
    """
    fields = storable(fields)
    process, number = _process_of(r, connection, fields)
    hook_id, rings = hooks.keep(
        r.ledger, connection, process, fields, r.ledger.now(), once_called=number
    )
    if rings:
        (ring or ring_hook)(hook_id)
    return hook_id


def storable(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without what a database refuses: PostgreSQL takes no NUL, nothing takes half a pair."""
    return {_clean(name): _clean(value) for name, value in fields.items()}


def _clean(value: Any) -> Any:
    return _UNSTORABLE.sub("", value) if isinstance(value, str) else value


def _process_of(r: Resources, connection: str, fields: dict[str, Any]) -> tuple[str, str]:
    """Whom a hook call speaks of, in a word that all calls of this process share; empty for nobody. And the
    word for a process of whose order nothing is known yet.
    """
    profile = r.profiles.get(connection)
    if profile is None:
        return "", ""
    target = r.settings.shop(connection).target
    said = profile.hook_update(fields, lambda number: orders.by_process(r.ledger, target, number))
    number = f"{NUMBER}{said.process_id}" if said.process_id else ""
    if said.order_id is not None:
        return profile.external_id(said.order_id), number
    return said.external_id or number, number
