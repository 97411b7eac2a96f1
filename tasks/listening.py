"""Listens to OneBox: turns a hook call, or what a process says when it is read, into updates for the shop.

In: a kept hook call, or nothing for the reconcile. Out: accepted updates, each under a key made of the
process, its stage and its tracking number, so that hook and reconcile together produce it once. A hook is a
doorbell: where the box can be read, what it says now counts; where not, what the hook said. Called by
tasks/updates. Source: contract onebox, order/get.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import structlog

from clients.errors import ClientError
from ledger import orders, updates
from mapping.hook import HookResult
from mapping.profile import Profile
from mapping.updates import UpdateRequest, read_update
from tasks.accepting import accept
from tasks.resources import Resources, Target

# Processes in one order/get.
BATCH = 50
# A read waits this long for its turn under the rate limit, in seconds.
PATIENCE = 5.0
# Processes made longer ago than this are taken for finished.
WATCHED = timedelta(days=30)

log = structlog.get_logger()


def act(r: Resources, hook_id: int) -> None:
    """Act on one kept hook call, once."""
    kept = updates.hook_fields(r.ledger, hook_id)
    if kept is None:
        return
    connection, fields = kept
    outcome = _act(r, connection, fields)
    updates.hook_done(r.ledger, hook_id, outcome, datetime.now(UTC))
    log.info("hook_done", hook_id=hook_id, outcome=outcome)


def _act(r: Resources, connection: str, fields: dict[str, Any]) -> str:
    profile, target = r.profiles[connection], r.target_of(connection)
    said = profile.hook_update(
        fields, lambda process: orders.by_process(r.ledger, target.name, process)
    )
    if said.order_id is None:
        return said.nothing_to_do or "no_order"
    external_id = profile.external_id(said.order_id)
    read = _read(target, profile, [external_id]).get(external_id, {})
    note_names = profile.updates.hook.names["note"]
    silent = {name: value for name, value in fields.items() if _plain(name) not in note_names}
    found = _found(profile, silent, external_id, read)
    outcome: str = found.nothing_to_do or ("invalid" if found.errors else "accepted")
    if found.request is not None:
        _accept(r, connection, external_id, found.stage, found.request)
    note = next(
        (text for name, text in fields.items() if _plain(name) in note_names and text), None
    )
    if note:
        outcome = _accept_note(r, connection, external_id, said.order_id, note)
    return outcome


def _found(
    profile: Profile, said: dict[str, Any], external_id: str, read: dict[str, Any]
) -> HookResult:
    """What the box says now; of a stage that the table does not have, what the hook said."""
    names = profile.updates.hook.names
    stages = {name for name in read if _plain(name) in names["stage"] and read[name]}
    others = {
        name: v for name, v in said.items() if not stages or _plain(name) not in names["stage"]
    }
    now = profile.hook_update({**others, "externalid": external_id, **read})
    if now.nothing_to_do != "unknown_stage":
        return now
    kept = {name: value for name, value in read.items() if name not in stages}
    return profile.hook_update({**said, "externalid": external_id, **kept})


def _plain(name: str) -> str:
    return name.strip().casefold()


def _accept(
    r: Resources, connection: str, external_id: str, stage: str | None, request: UpdateRequest
) -> None:
    key = process_key(external_id, stage, request.tracking_number)
    try:
        accept(r, replace(request, connection=connection), origin="onebox", key=key)
    except updates.KeyReused:
        log.warning("hook_key_reused", external_id=external_id)


def _accept_note(r: Resources, connection: str, external_id: str, order_id: str, note: str) -> str:
    """The hook's own comment, once however often the hook is called with it."""
    request, errors = read_update({"order_id": order_id, "note": note, "connection": connection})
    if request is None:
        log.warning("hook_note_refused", fields=sorted(errors))
        return "invalid"
    mark = blake2b(note.encode(), digest_size=8).hexdigest()
    accept(r, request, origin="onebox", key=f"onebox:{external_id}:note:{mark}")
    return "accepted"


def process_key(external_id: str, stage: str | None, tracking_number: str | None) -> str:
    """The key under which one state of one process becomes an update."""
    return f"onebox:{external_id}:{stage or ''}:{tracking_number or ''}"


def reconcile(r: Resources) -> int:
    """Read the processes of the last weeks and produce what no hook told; returns how many updates."""
    produced = 0
    since = datetime.now(UTC) - WATCHED
    for target in r.targets.values():
        created = orders.created_since(r.ledger, target.name, since)
        for first in range(0, len(created), BATCH):
            if target.gate.row().closed_by is not None:
                break
            by_connection: dict[str, list[str]] = {}
            for connection, external_id in created[first : first + BATCH]:
                by_connection.setdefault(connection, []).append(external_id)
            for connection, external_ids in by_connection.items():
                produced += _reconcile(r, target, connection, external_ids)
    return produced


def _reconcile(r: Resources, target: Target, connection: str, external_ids: list[str]) -> int:
    profile = r.profiles[connection]
    wanted: dict[str, tuple[str, str | None, UpdateRequest]] = {}
    for external_id, row in _read(target, profile, external_ids).items():
        found = profile.hook_update({**row, _external_name(profile): external_id})
        if found.request is not None:
            key = process_key(external_id, found.stage, found.request.tracking_number)
            wanted[key] = (external_id, found.stage, found.request)
    new = wanted.keys() - updates.known_keys(r.ledger, list(wanted))
    for key in sorted(new):
        _accept(r, connection, *wanted[key])
    return len(new)


def _external_name(profile: Profile) -> str:
    """How this profile's hooks spell the external id."""
    return profile.updates.hook.names["external_id"][0]


def _read(target: Target, profile: Profile, external_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Stage and tracking number of processes, by external id; empty where the box does not say."""
    if target.gate.row().closed_by is not None or target.rate.acquire(PATIENCE) > 0:
        return {}
    names = profile.updates.hook.names
    asked = ["externalid", "statusid", *names["tracking_number"]]
    try:
        rows = target.client.get_orders(external_ids, asked)
    except ClientError as exc:
        log.warning("process_not_read", target=target.name, because=type(exc).__name__)
        return {}
    told = {*names["stage"], *names["tracking_number"]}
    return {
        str(row["externalid"]): {
            name: value for name, value in row.items() if value and _plain(name) in told
        }
        for row in rows
        if str(row.get("externalid")) in external_ids
    }
