"""Turns whatever goes wrong into one form of answer: JSON with a sentence and the request's id.

In: exceptions of the doors. Out: `{"error", "request_id"}`, with `errors` by field for a 422. Nothing of an
exception's text or trace reaches a caller. A door refuses by raising `Refusal`; nothing else is needed.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from flask import Flask, g, jsonify, request
from flask.typing import ResponseReturnValue
from flask_smorest import Api
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from desk.errors import Absent
from ledger.database import LedgerUnavailable

# Seconds after which it is worth trying again when the ledger could not be reached.
LEDGER_RETRY = 5

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The body is too large.",
    415: "This content type is not taken here.",
}

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
    """An error as every door answers it."""

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
    """flask-smorest with our form of errors, in its answers and in the document."""

    ERROR_SCHEMA = ErrorSchema

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        headers = {}
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        default = "The request cannot be read." if status < 500 else "This went wrong on our side."
        return _answer(SENTENCES.get(status, default), status, headers=headers)


def register(app: Flask) -> None:
    """Answer errors of this application in our form."""
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(Absent, _absent)
    app.register_error_handler(LedgerUnavailable, _ledger_unavailable)
    app.register_error_handler(Exception, _failed)


def _refused(refusal: Refusal) -> ResponseReturnValue:
    return _answer(refusal.sentence, refusal.status, errors=refusal.errors, headers=refusal.headers)


def _absent(absent: Absent) -> ResponseReturnValue:
    return _answer(str(absent), HTTPStatus.NOT_FOUND)


def _ledger_unavailable(_: LedgerUnavailable) -> ResponseReturnValue:
    log.warning("ledger_unavailable")
    return _answer(
        "The ledger does not answer now; nothing was done. Try again in a moment.",
        HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": str(LEDGER_RETRY)},
    )


def _failed(error: Exception) -> ResponseReturnValue:
    # An exception's text may hold what a caller sent: the log gets its type and where it was raised.
    frames = traceback.extract_tb(error.__traceback__)
    log.error(
        "request_failed",
        error=type(error).__name__,
        path=str(request.url_rule or "unmatched"),
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    )
    return _answer("This went wrong on our side.", HTTPStatus.INTERNAL_SERVER_ERROR)


def _answer(
    sentence: str,
    status: int,
    *,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ResponseReturnValue:
    said: dict[str, object] = {"error": sentence, "request_id": g.request_id}
    if errors:
        said["errors"] = errors
    return jsonify(said), status, dict(headers or {})
