"""OneBox, the CRM, API v2: its calls and what becomes of each answer (docs/contracts/onebox.md).

Change it when the CRM's calls change. The shapes of its answers and its error texts stand in modules of their
own, and what a process holds is the mapping's. In: plain values. Out: ids and rows. Fails as `OneBox` says.
"""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import httpx
import redis
from cryptography.fernet import Fernet

from clients.base import Answer, Closing, HttpTransport
from clients.deadline import Deadline
from clients.errors import AuthFailed, Garbled, Misconfigured, Rejected, RemoteError, TokenLost
from clients.onebox_answers import (
    by_number,
    failure_text,
    items_of,
    normalised,
    number_of,
    phones_of,
    status_of,
)
from clients.onebox_texts import ADVICE, SHAPE_REFUSED, meaning
from clients.statuses import status_error
from clients.tokens import SharedToken

# Seconds: the life is undocumented, working clients keep a token this long (docs/contracts/onebox.md,
# "Transport").
TOKEN_LIFE: Final = 3000.0
RENEW_AHEAD: Final = 300.0

_MD5 = re.compile(r"[0-9a-fA-F]{32}")

PasswordForm = Literal["raw", "md5", "auto"]
BodyShape = Literal["object", "array"]


class OneBox(Closing):
    """The CRM's API; safe to share between threads, one per process.

    `timeout` seconds bound one method with its repeats after a dead token or a refused body shape;
    waiting for a login and logging in can add as much again, which the lease of twice the time-out
    allows for (docs/architecture.md, "Waits, leases and probes").
    All methods raise Transient, ConnectionFault, Uncertain errors and StoreUnavailable
    (`clients.errors`); after an Uncertain one of `set_order` the order must be looked up.
    """

    def __init__(  # noqa: PLR0913  all injected, all but three by keyword
        self,
        base_url: str,
        login: str,
        password: str,
        *,
        redis: "redis.Redis",
        cipher: Fernet,
        name: str = "onebox",
        timeout: float = 30.0,
        password_form: PasswordForm = "auto",  # noqa: S107  the name of a form, no password
        body_shape: BodyShape = "object",
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._login = login
        self._passwords = _password_forms(password, password_form)
        self._http = HttpTransport(
            base_url,
            secrets=(password, *self._passwords),
            transport=transport,
        )
        self._shape = body_shape
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

    def set_order(self, process: dict[str, Any]) -> str:
        """Create or update one process; its OneBox id (docs/contracts/onebox.md, "order/set").

        Raises also PhoneTaken and Rejected. A refused body shape is switched once and remembered.
        """
        deadline = Deadline(self._timeout)
        shape = self._shape
        answer = self._call("order/set", _body(process, shape), deadline)
        if SHAPE_REFUSED.search(failure_text(answer)):
            shape = "array" if shape == "object" else "object"
            answer = self._call("order/set", _body(process, shape), deadline)
            if SHAPE_REFUSED.search(failure_text(answer)):
                raise self._error(Misconfigured, "both body shapes are refused", answer)
            self._shape = shape
        data = self._data(answer)
        order_id = next(filter(None, map(number_of, (data, *items_of(data)))), None)
        if order_id is None:
            raise self._error(Garbled, "accepted, but without the id of the process", answer)
        return order_id

    def find_orders(self, external_ids: Sequence[str]) -> dict[str, list[str]]:
        """Ids of the processes with exactly these external ids, ascending, for each one asked. Raises Garbled
        for one that is there with an id that cannot be read: as not found, it would be sent again.
        """
        found: dict[str, list[str]] = {external_id: [] for external_id in external_ids}
        for row in self.get_orders(external_ids, ("id", "externalid", "statusid")):
            order_id = number_of(row)
            if order_id is None:
                raise Garbled(f"{self._http.host}: a process was found, but its id cannot be read")
            found[str(row["externalid"])].append(order_id)
        return {external_id: sorted(set(ids), key=by_number) for external_id, ids in found.items()}

    def get_orders(
        self, external_ids: Sequence[str], fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The processes with exactly these external ids, with these fields and both ids.

        The CRM's own filter can be loose (docs/contracts/onebox.md, "order/get").
        """
        if not external_ids:
            return []
        wanted = set(external_ids)
        asked = list(dict.fromkeys(("id", "externalid", *fields)))
        rows = self._rows(
            "order/get", {"filter": {"externalid": list(external_ids)}, "fields": asked}
        )
        return [row for row in rows if str(row.get("externalid")) in wanted]

    def workflows(self) -> list[dict[str, Any]]:
        """The business processes of the box."""
        return self._rows("workflow/get", {})

    def find_contact(self, phone: str) -> str | None:
        """The id of the card with this phone, the oldest where several have it."""
        number = normalised(phone)
        if not number:
            return None
        spellings = list(dict.fromkeys((f"+{number}", number, phone)))
        rows = self._rows(
            "contact/get", {"filter": {"phones": spellings}, "fields": ["id", "phones", "phone"]}
        )
        ids = [
            card
            for row in rows
            if number in phones_of(row) and (card := number_of(row, "id", "userid"))
        ]
        return min(ids, key=by_number, default=None)

    def _rows(self, entity: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
        data = self._data(self._call(entity, payload, Deadline(self._timeout)))
        return [item for item in items_of(data) if isinstance(item, dict)]

    def _call(self, entity: str, payload: object, deadline: Deadline) -> Answer:
        path = f"/api/v2/{entity}/"
        return self._tokens.call(
            lambda token: self._http.post_json(path, payload, {"token": token}, deadline),
            _is_dead,
        )

    def _data(self, answer: Answer) -> object:
        """The `dataArray` of a success; otherwise raises what the answer means."""
        if answer.ok and status_of(answer) == 1:
            return answer.json.get("dataArray")
        if answer.status == 429 or answer.status >= 500:
            raise status_error(answer, self._http.host)
        text = failure_text(answer)
        kind = meaning(text)
        if answer.status == 401 or (answer.status == 403 and not text and not answer.body.strip()):
            kind = TokenLost
        if kind is not None:
            raise self._error(kind, ADVICE[kind], answer)
        if not answer.ok and (status_of(answer) is None or answer.status == 403):
            raise status_error(answer, self._http.host)
        if status_of(answer) is None:
            raise self._error(Garbled, "the answer cannot be read", answer)
        raise self._error(Rejected, "OneBox refused the call", answer)

    def _error(self, kind: type[RemoteError], text: str, answer: Answer) -> RemoteError:
        said = answer.masked(failure_text(answer))
        message = f"{text}: {said}" if said else text
        # The text alone, where there is one: beside it stands what differs from answer to answer.
        return kind(message, status=answer.status, excerpt=said or answer.excerpt)

    def _log_in(self) -> tuple[str, float]:
        deadline = Deadline(self._timeout / 2)
        refused: RemoteError | None = None
        for password in self._passwords:
            payload = {"login": self._login, "restapipassword": password}
            answer = self._http.post_json("/api/v2/token/get/", payload, {}, deadline)
            if answer.ok and status_of(answer) == 1:
                # The form that was taken is the only one tried from now on.
                self._passwords = (password,)
                return self._token_of(answer), TOKEN_LIFE
            refused = self._login_error(answer)
            if not isinstance(refused, AuthFailed):
                break
        raise refused or AuthFailed("no password is set; set ONEBOX_PASSWORD")

    def _login_error(self, answer: Answer) -> RemoteError:
        if answer.status in {400, 401, 403} or (answer.ok and status_of(answer) is not None):
            return self._error(AuthFailed, ADVICE[AuthFailed], answer)
        if answer.ok:
            return self._error(Garbled, "the login's answer cannot be read", answer)
        return status_error(answer, self._http.host)

    def _token_of(self, answer: Answer) -> str:
        data = answer.json.get("dataArray")
        token = data.get("token") if isinstance(data, dict) else None
        token = token or answer.json.get("token")
        if not isinstance(token, str) or not token:
            raise Misconfigured("the login's answer holds no token; check the URL")
        return token


def _password_forms(password: str, form: PasswordForm) -> tuple[str, ...]:
    """The passwords to try in turn (docs/contracts/onebox.md, "Transport")."""
    hashed = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
    if form == "raw" or _MD5.fullmatch(password):
        return (password,)
    return (hashed,) if form == "md5" else (password, hashed)


def _body(process: dict[str, Any], shape: BodyShape) -> object:
    return {"0": process} if shape == "object" else [process]


def _is_dead(answer: Answer) -> bool:
    """Whether the answer asks for another token (docs/contracts/onebox.md, "Transport")."""
    if answer.status in {401, 403}:
        return True
    if answer.status != 400 and not answer.ok:
        return False
    return status_of(answer) != 1 and meaning(failure_text(answer)) is TokenLost
