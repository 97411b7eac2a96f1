"""OK Living, the shop: its three calls and what its answers mean (docs/contracts/okliving.md).

Change it when the shop's wire changes; which orders to ask for and what an order says is elsewhere.
"""

import re
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import httpx
import redis
from cryptography.fernet import Fernet

from clients.base import Answer, Closing, HttpTransport
from clients.deadline import Deadline
from clients.errors import (
    Garbled,
    IllegalTransition,
    Misconfigured,
    NotFound,
    Rejected,
    TokenLost,
)
from clients.statuses import status_error
from clients.tokens import SharedToken

# Seconds: the token's life of 600 is fixed, it is renewed at about 540 (docs/contracts/okliving.md,
# "Errors").
TOKEN_LIFE: Final = 600.0
RENEW_AHEAD: Final = 60.0

_ILLEGAL_TRANSITION = "SYSTEM__ILLEGAL_STATE_TRANSITION"
# A path that the shop does not have is told in the same shape as an order it does not know.
_NO_ROUTE = re.compile(r"no route", re.IGNORECASE)


# What an action of the shop may be called, and how many it may name.
_ACTION = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_ACTIONS = 50
# Of what is wrong with one order the shop says no more than this.
_MOST_ERRORS, _LONGEST_TEXT = 20, 1_000


class OkLiving(Closing):
    """The shop's API; safe to share between threads, one per process.

    `timeout` seconds bound one call with its repeat after a dead token; waiting for a login and
    logging in can add as much again. All methods raise Transient, ConnectionFault, Uncertain
    errors and StoreUnavailable (`clients.errors`).
    """

    def __init__(  # noqa: PLR0913  all injected, all but three by keyword
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        redis: "redis.Redis",
        cipher: Fernet,
        name: str = "okliving",
        timeout: float = 30.0,
        login_style: Literal["form", "json"] = "form",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._http = HttpTransport(base_url, secrets=(client_secret,), transport=transport)
        self._credentials = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._login_style = login_style
        self._timeout = timeout
        self._tokens = SharedToken(
            redis,
            name,
            cipher,
            self._log_in,
            renew_ahead=RENEW_AHEAD,
            login_timeout=timeout / 2,
            clock=clock,
        )

    def close(self) -> None:
        self._http.close()

    def login(self) -> None:
        """Log in now, with a token of our own from here on: the connection test."""
        self._tokens.log_in_alone()

    def get_orders(self, body: dict[str, Any]) -> object:
        """The parsed answer of get-orders; a read, so its Uncertain errors are simply repeated."""
        return self._result(self._call("/api/get-orders", body))

    def update_order(self, order: dict[str, Any]) -> None:
        """Set what `order` names beside its id (docs/contracts/okliving.md, "Calls").

        Raises also NotFound, IllegalTransition with the possible actions, Rejected.
        """
        answer = self._call("/api/update-order", {"args": {"order": order}})
        if (failure := self._domain_error(answer)) is not None:
            raise failure
        if answer.status != 204:
            self._result(answer)

    def _call(self, path: str, payload: object) -> Answer:
        deadline = Deadline(self._timeout)
        return self._tokens.call(
            lambda token: self._http.post_json(
                path, payload, {"Authorization": f"Bearer {token}"}, deadline
            ),
            lambda answer: answer.status == 401,
        )

    def _result(self, answer: Answer) -> object:
        host = self._http.host
        if answer.status == 401:
            raise TokenLost(
                f"{host}: the new token is refused as well; it is tried again",
                status=401,
                excerpt=answer.excerpt,
            )
        if not answer.ok:
            raise status_error(answer, host)
        if answer.json is None:
            raise Garbled(
                f"{host}: the answer is not JSON", status=answer.status, excerpt=answer.excerpt
            )
        return answer.json

    def _domain_error(self, answer: Answer) -> Rejected | None:
        """What the shop says of the order itself, in any status but those of the transport."""
        errors = _errors(answer)
        if not errors or (not answer.ok and answer.status not in {400, 404, 409, 422}):
            return None
        text = answer.masked("; ".join(filter(None, map(_text, errors))) or "no reason given")
        if answer.status == 404:
            if _NO_ROUTE.search(text):
                return None
            return NotFound(
                f"the shop does not know the order: {text}", status=404, excerpt=answer.excerpt
            )
        if any(error.get("code") == _ILLEGAL_TRANSITION for error in errors):
            return IllegalTransition(
                f"the shop refuses the status: {text}",
                status=answer.status,
                excerpt=answer.excerpt,
                possible=_possible(errors),
            )
        return Rejected(
            f"the shop refused the update: {text}", status=answer.status, excerpt=answer.excerpt
        )

    def _log_in(self) -> tuple[str, float]:
        deadline = Deadline(self._timeout / 2)
        post = self._http.post_form if self._login_style == "form" else self._http.post_json
        answer = post("/api/oauth/token", self._credentials, {}, deadline)
        if not answer.ok:
            raise status_error(answer, self._http.host)
        if answer.json is None:
            raise Garbled("the login's answer is not JSON", status=answer.status)
        token = answer.json.get("access_token") if isinstance(answer.json, dict) else None
        if not isinstance(token, str) or not token:
            raise Misconfigured(
                "the login's answer holds no access_token; check the URL", status=answer.status
            )
        return token, _life(answer.json.get("expires_in"))


def _errors(answer: Answer) -> list[dict[str, Any]]:
    errors = answer.json.get("errors") if isinstance(answer.json, dict) else None
    if not isinstance(errors, list):
        return []
    return [error for error in errors[:_MOST_ERRORS] if isinstance(error, dict)]


def _text(error: dict[str, Any]) -> str:
    said = (error.get(name) for name in ("detail", "title", "code"))
    return next(
        (str(one)[:_LONGEST_TEXT] for one in said if one and isinstance(one, str | int)), ""
    )


def _possible(errors: list[dict[str, Any]]) -> tuple[str, ...]:
    for error in errors:
        try:
            transitions = error["meta"]["parameters"]["possibleTransitions"]
        except (KeyError, TypeError):
            continue
        if isinstance(transitions, list):
            named = (one for one in transitions[:_MOST_ACTIONS] if isinstance(one, str))
            return tuple(one for one in named if _ACTION.fullmatch(one))
    return ()


def _life(seconds: object) -> float:
    try:
        life = float(seconds)  # type: ignore[arg-type]  # what is no number is caught
    except (TypeError, ValueError):
        return TOKEN_LIFE
    return life if life > 0 else TOKEN_LIFE
