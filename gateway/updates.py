"""The doors of the API: an update comes in, and how updates and orders stand.

In: JSON of authenticated callers. Out: what gateway/schemas.py says. An update is in the ledger before its
202. Refuses with 400, 403 (a key that is not for it), 404, 409 (a key used for something else), 413, 415 and
422 (errors by field).
"""

# mypy: disallow-untyped-decorators=False
# flask-smorest's decorators have no types.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, current_app, g, request
from flask_smorest import Blueprint

from connections_file import SettingsError
from desk import orders as desk_orders
from desk import updates as desk_updates
from desk import waiting
from desk.errors import Absent, KeyTaken, Wrong
from gateway import rights, words
from gateway.body import read_json
from gateway.doors import Door
from gateway.errors import ErrorSchema, Refusal
from gateway.idempotency import HEADER, KEY_FORM, KEY_PATTERN, BadKey, scoped_key
from gateway.keys import by_key
from gateway.schemas import AcceptedSchema, ShownOrderSchema, ShownUpdateInFullSchema
from ledger.updates import Told, Update
from mapping.problems import explain
from mapping.request import UpdateRequest
from mapping.updates import UpdateSchema
from tasks.accepting import read
from tasks.resources import Resources

PREFIX = "/api/v1"
# Bytes: many times the longest update.
LARGEST = 64 * 1024
# Of an order's updates, the newest that are shown.
SHOWN = 50
LARGEST_ROW_ID = 2**63 - 1

blueprint = Blueprint(
    "updates",
    __name__,
    url_prefix=PREFIX,
    description="Tracking numbers, statuses and comments on their way to the shop.",
)

IDEMPOTENCY_KEY = {
    "in": "header",
    "name": HEADER,
    "description": "Names this update: the same key with the same body is the same update, and gets the same "
    "answer. Each API key has its own names.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}
ACCEPT_LANGUAGE = {
    "in": "header",
    "name": "Accept-Language",
    "description": "`en` or `uk`, for sentences.",
    "schema": {"type": "string"},
}


WHICH = {
    "in": "query",
    "name": "connection",
    "description": "Which shop; left out: the only one that has the order, else that of the default pair.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
}
MEANINGS = {
    400: "The body is no JSON.",
    401: "No key, or a wrong one.",
    403: "The key is not for this, or not for this connection; or there are no keys, and the caller is not "
    "on this machine.",
    404: "There is no such thing; the sentence says what.",
    409: "The key was used before, for another update.",
    413: "The body is larger than 64 kB.",
    415: "The body is not application/json.",
    422: "What was sent is not valid; errors keyed by field.",
    429: "Too many requests; see Retry-After.",
    503: "The ledger is away, nothing was done; see Retry-After.",
}


def _refuses(*statuses: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say in the document how a door may refuse."""

    def document(view: Callable[..., Any]) -> Callable[..., Any]:
        for status in statuses:
            view = blueprint.alt_response(status, schema=ErrorSchema, description=MEANINGS[status])(
                view
            )
        return view

    return document


def door(r: Resources) -> Door:
    """The door of updates and orders."""
    return Door(
        blueprint=blueprint,
        below=(PREFIX,),
        largest=LARGEST,
        authenticate=by_key(r.settings),
        rate="api",
    )


@blueprint.route("/updates", methods=["POST"])
@blueprint.doc(
    parameters=[IDEMPOTENCY_KEY],
    requestBody={"required": True, "content": {"application/json": {"schema": UpdateSchema}}},
)
@blueprint.response(202, AcceptedSchema, description="In the ledger; it will be carried out.")
@_refuses(400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
def take_in() -> dict[str, Any]:
    """Take in an update.

    A tracking number, an order action, a delivery action, a note: at least one. The updates of an order reach
    the shop in the order in which they were taken in. With the scope `updates:write`.
    """
    rights.demand("updates:write")
    key = _key()
    asked = _update()
    try:
        row = desk_updates.send(
            _resources(),
            asked,
            who=g.caller,
            origin=rights.origin(),
            key=key,
            ring=current_app.config["BELL"].ring_updates,
        )
    except KeyTaken as exc:
        raise Refusal(409, "This Idempotency-Key was used before, for another update.") from exc
    except Wrong as exc:
        raise _invalid(exc.errors) from exc
    answer: dict[str, Any] = {"id": row.id, "order_id": row.order_id, "state": "queued"}
    if asked.warnings:
        answer["warnings"] = [
            explain(problem, words.language(), order=row.order_id) for problem in asked.warnings
        ]
    return answer


@blueprint.route(f"/updates/<int(min=1,max={LARGEST_ROW_ID}):update_id>")
@blueprint.doc(parameters=[ACCEPT_LANGUAGE])
@blueprint.response(200, ShownUpdateInFullSchema)
@_refuses(401, 403, 404, 429, 503)
def show_update(update_id: int) -> dict[str, Any]:
    """How an update stands.

    Its state and why, what became of each part, and every call that was made for it. With the scope
    `updates:read`; with `updates:write` alone those that this key sent.
    """
    rights.demand("updates:read", "updates:write")
    shown = desk_updates.show(_resources().ledger, update_id)
    if not rights.may_read(shown.update):
        raise desk_updates.absent(update_id)
    (asked,) = _all_shown([shown.update])
    return asked | {"attempts": shown.calls}


@blueprint.route("/orders/<path:order_id>")
@blueprint.doc(parameters=[WHICH, ACCEPT_LANGUAGE])
@blueprint.response(200, ShownOrderSchema)
@_refuses(401, 403, 404, 422, 429, 503)
def show_order(order_id: str) -> dict[str, Any]:
    """How an order stands.

    Its state and why, its id in the CRM, and its newest updates. With the scope `orders:read`; the updates
    are those that this key may read.
    """
    rights.demand("orders:read")
    given = request.args.get("connection")
    if given is not None:
        rights.demand_connection(given)
    try:
        connection, known = desk_orders.known(
            _resources().ledger,
            given,
            order_id,
            SHOWN,
            among=rights.connections_of(order_id),
            readable=rights.may_read,
        )
    except Wrong as exc:
        raise Refusal(
            422, "Say which connection is meant.", errors={"connection": [str(exc)]}
        ) from exc
    found = known.order
    codes = _codes(found.reason) if found is not None else []
    return {
        "order_id": order_id,
        "connection": connection,
        "state": found and found.state,
        "reason": words.sentences(codes, found.problems if found else (), order_id, connection),
        "reason_codes": codes,
        "target": found and found.target,
        "target_id": found and found.target_id,
        "stage": found and found.stage,
        "tracking_number": found and found.tracking_number,
        "changed": found is not None and found.changed,
        "received_at": found and found.received_at,
        "state_at": found and found.state_at,
        "updates": _all_shown(known.updates),
    }


# --- reading ------------------------------------------------------------------------------------------


def _resources() -> Resources:
    r: Resources = current_app.config["RESOURCES"]
    return r


def _update() -> UpdateRequest:
    raw = read_json()
    if not isinstance(raw, dict):
        raise _invalid({"_schema": ["The body must be a JSON object."]})
    try:
        meant = rights.naming_a_connection(raw)
    except SettingsError as exc:
        raise _invalid({"connection": [str(exc)]}) from exc
    asked, errors = read(_resources(), meant)
    if asked is None:
        raise _invalid(errors)
    if not rights.knows(asked.connection, asked.order_id):
        raise Absent(desk_orders.NEITHER)
    return asked


def _invalid(errors: dict[str, list[str]]) -> Refusal:
    return Refusal(422, "The update is not valid; see errors.", errors=errors)


def _key() -> str | None:
    try:
        return scoped_key()
    except BadKey:
        raise _invalid({HEADER: [KEY_FORM]}) from None


# --- showing ------------------------------------------------------------------------------------------


def _codes(reason: str) -> list[str]:
    return [code.strip() for code in reason.split(",") if code.strip()]


def _all_shown(rows: list[Update]) -> list[dict[str, Any]]:
    """Updates of one order, each with why it waits, if it does."""
    r = _resources()
    waits = waiting.reasons(r.ledger, rows, r.settings.connections)
    return [_shown(row, waits.get(row.id)) for row in rows]


def _shown(row: Update, wait: Told | None) -> dict[str, Any]:
    codes, asked = _codes(row.reason), row.values
    return {
        "id": row.id,
        "connection": row.connection,
        "order_id": row.order_id,
        "state": row.state,
        "reason": words.reason(row, codes, wait),
        "reason_codes": codes if wait is None else [*codes, wait["code"]],
        "origin": row.origin,
        "parts": {name: part.state for name, part in row.parts.items()},
        "tracking_number": asked.get("tracking_number"),
        "statuses": {name: asked.get(name) for name in ("order", "delivery")},
        "note": asked.get("note"),
        "left": list(row.parts_left),
        "fates": [words.fate(told, row) for told in row.fates],
        "accepted_at": row.accepted_at,
        "state_at": row.state_at,
    }


@blueprint.after_request
def _say_language(response: Response) -> Response:
    if response.status_code < 300:
        response.headers["Content-Language"] = words.language()
    response.vary.add("Accept-Language")
    return response
