"""Turns whatever goes wrong into a refusal, and a refusal into JSON with a sentence and the request's id.

In: exceptions of the doors. Out: a `Refusal`; as JSON `{"error", "request_id"}`, with `errors` by field for a
422. Nothing of an exception's text or trace reaches a caller. A door refuses by raising `Refusal`; one that
answers in another form names it where it is declared (gateway/doors.py).
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping

import structlog
from flask import g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_smorest import Api
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from desk.errors import Absent
from ledger.faults import LedgerUnavailable

# Seconds after which it is worth trying again when the ledger could not be reached.
LEDGER_RETRY = 5

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The body is too large.",
    415: "This content type is not taken here.",
}
OUR_FAULT = "This went wrong on our side."

log = structlog.get_logger()


class Refusal(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """A request is refused with this status and sentence; `errors` are keyed by field."""

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.errors = errors
        self.headers = headers or {}


class ErrorSchema(Schema):
    """An error as `as_json` says it."""

    error = fields.String(required=True, metadata={"description": "What is wrong, in a sentence."})
    request_id = fields.String(
        required=True, metadata={"description": "Names this request in the logs."}
    )
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        metadata={
            "description": "With 422: what is wrong with each field; `statuses.order` is a field of a "
            "field, `_schema` is the whole body."
        },
    )


class JsonApi(Api):
    """flask-smorest with our form of errors in its document."""

    ERROR_SCHEMA = ErrorSchema


def as_json(refusal: Refusal) -> ResponseReturnValue:
    """The form of errors of every door that names no other."""
    said: dict[str, object] = {"error": refusal.sentence, "request_id": g.request_id}
    if refusal.errors:
        said["errors"] = refusal.errors
    return jsonify(said), refusal.status


def refusal_of(error: Exception) -> Refusal:
    """What a caller is told of this; our own faults are logged here."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, Absent):
        return Refusal(404, str(error))
    if isinstance(error, LedgerUnavailable):
        log.warning("ledger_unavailable")
        return Refusal(
            503,
            "The ledger does not answer now; nothing was done. Try again in a moment.",
            headers={"Retry-After": str(LEDGER_RETRY)},
        )
    # An exception's text may hold what a caller sent: the log gets its type and where it was raised.
    frames = traceback.extract_tb(error.__traceback__)
    log.error(
        "request_failed",
        error=type(error).__name__,
        path=str(request.url_rule or "unmatched"),
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    )
    return Refusal(500, OUR_FAULT)


def _of_http(error: HTTPException) -> Refusal:
    status = error.code or 500
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    default = "The request cannot be read." if status < 500 else OUR_FAULT
    return Refusal(status, SENTENCES.get(status, default), headers=headers)
