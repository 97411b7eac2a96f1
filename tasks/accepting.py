"""Takes an update from any door into the ledger, and rings for its order's queue.

In: a validated request, who asked, an optional idempotency key. Out: the update as it stands, written
before this returns. A request that names no connection means the only source, else the default pair's.
Fails with `KeyReused` for a key that was used for something else, with `UnknownConnection`, and with
`LedgerUnavailable`. Called by the desk, the task `updates.enqueue` and other programs in Python: one
producer, four doors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import structlog

from connections_file import SettingsError
from ledger import enqueueing, hook_intake
from ledger.enqueueing import Asked, KeyReused, Refusal
from ledger.updates import Due, Told, Update
from logs import shown
from mapping.problems import Problem
from mapping.request import Errors, UpdateRequest, digest
from mapping.source import storable
from tasks.doorbell import ring_hook, ring_updates
from tasks.resources import Resources
from tasks.sender import whose

# What the ledger keeps of a key, and of the id of an order.
LONGEST_KEY = 200
LONGEST_ID = 64
# Before the CRM's number of a process whose order is not known.
NUMBER = "#"

log = structlog.get_logger()


class UnknownConnection(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """No source has this name, or it must be said which one is meant."""


def accept(
    r: Resources,
    request: UpdateRequest,
    *,
    origin: str,
    key: str | None = None,
    ring: Callable[[list[Due]], object] | None = None,
    who: str | None = None,
) -> Update:
    """Write the update behind the others of its order, and ring. `who` asked, where it is an act that the
    history is to tell.
    """
    request = replace(request, connection=_source_of(r, request.connection))
    wanted = replace(asked(request, origin=origin, key=key), who=who)
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
    feedback = r.sources[name].connector.feedback
    if feedback is None:
        return None, {"connection": [f"{name} takes no updates."]}
    return feedback.validate(raw, flat=flat)


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
    connection = _named(r, fields.get("connection"))
    refused = refusal(connection, fields.get("order_id", ""), errors, origin=origin)
    update_id = enqueueing.refuse(r.ledger, refused, r.ledger.now())
    # The sender made these names up, as far as they are wrong.
    log.warning("update_refused", update_id=update_id, fields=sorted({*map(shown, errors)}))
    return None


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


def _source_of(r: Resources, named: str | None) -> str:
    try:
        return r.settings.source(named)
    except SettingsError as exc:
        raise UnknownConnection(str(exc)) from exc


def _named(r: Resources, given: object) -> object:
    """Where a refused update is kept: under the connection that it named or meant, if any."""
    if given is not None:
        return given
    try:
        return _source_of(r, None)
    except UnknownConnection:
        return ""


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
    target: str,
    fields: dict[str, Any],
    ring: Callable[[int], object] | None = None,
) -> int:
    """Keep a call of this target's hook as it came, and ring for a worker unless one is at its process
    already; returns its key.
    """
    fields = storable(fields)
    process, number = _process_of(r, target, fields)
    hook_id, rings = hook_intake.keep(
        r.ledger, target, process, fields, r.ledger.now(), once_called=number
    )
    if rings:
        (ring or ring_hook)(hook_id)
    return hook_id


def _process_of(r: Resources, target: str, fields: dict[str, Any]) -> tuple[str, str]:
    """Whom a hook call speaks of, in a word that all calls of this process share; empty for nobody. And the
    word for a process of whose order nothing is known yet.
    """
    source, said = whose(r, target, fields)
    number = f"{NUMBER}{said.process_id}" if said.process_id else ""
    if source is not None and said.order_id is not None:
        return r.profiles[source].external_id(said.order_id), number
    return said.external_id or number, number
