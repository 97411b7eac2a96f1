"""A service that speaks CreateOrder: its one call and what becomes of each answer.

Change it when the command's answers change; what an order says is the mapping's. In: a body and, where there
is one, the key that names it. Out: the service's number of the order. Fails as `CreateOrder` says. Source:
docs/contracts/createorder.md.
"""

from typing import Any, Final

import httpx

from clients.base import Answer, Closing, HttpTransport
from clients.deadline import Deadline
from clients.errors import AuthFailed, Garbled, RateLimited, Rejected, RemoteError, ServerError
from clients.statuses import retry_after_of, status_error

COMMAND: Final = "/CreateOrder"
# The code of a failure of the service itself (docs/contracts/createorder.md, "Errors").
THEIR_OWN: Final = 9
# What the ledger keeps of a number.
LONGEST_NUMBER: Final = 64
# Too early and too many: certain that nothing happened, whoever says it, a proxy or the service.
_LATER: Final = (425, 429)


class CreateOrder(Closing):
    """The service's API; safe to share between threads, one per process.

    `timeout` seconds bound one call. Both methods raise Transient, ConnectionFault and Uncertain errors
    (`clients.errors`); after an Uncertain one of `create` the order may be there, and nobody can ask.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None,
        timeout: float = 30.0,
        name: str = "createorder",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._name = name
        given = url.strip().rstrip("/")
        self.address = given if given.endswith(COMMAND) else given + COMMAND
        self._http = HttpTransport(
            self.address, secrets=() if token is None else (token,), transport=transport
        )
        self._timeout = timeout
        # A warm connection may be closed there in the moment in which an order is sent on it, and who sent
        # it cannot tell that from a lost answer.
        self._headers = {"Connection": "close"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._http.close()

    def create(self, body: object, key: str | None) -> str:
        """Create the order; its number there. `key`, of printable ASCII, names the request: a service that
        knows such keys answers a repeat as it did before. Raises also Rejected.
        """
        headers = self._headers if key is None else {**self._headers, "Idempotency-Key": key}
        answer = self._http.post_json("", body, headers, Deadline(self._timeout))
        processed = _processed(answer)
        if processed is None:
            raise self._unprocessed(answer)
        if _words(processed.get("status")) == "ok" and processed.get("code") in (0, "0", None):
            return self._number(answer)
        raise self._failure(processed, answer)

    def touch(self) -> int:
        """The status with which the address answers to a read, which has no effect there: any below 500 that
        is neither a redirect nor a refused login.
        """
        answer = self._http.request("GET", "", self._headers, Deadline(self._timeout))
        if answer.status >= 500 or 300 <= answer.status < 400 or answer.status in {401, 403, 407}:
            raise status_error(answer, self._name)
        return answer.status

    def _number(self, answer: Answer) -> str:
        order = _within(answer.json, "CreateOrder", "response", "order")
        numbers = (_text(order.get(name)) for name in ("order_id", "order_num"))
        number = next(filter(None, numbers), None)
        if number is None:
            raise self._error(Garbled, "accepted, but without the order's number", answer)
        return number

    def _failure(self, processed: dict[str, Any], answer: Answer) -> RemoteError:
        """What it means that the service has not said ok, whatever the HTTP status."""
        said = _words(processed.get("text"))
        if answer.status in _LATER:
            return self._error(RateLimited, "too many calls", answer, said)
        if _words(processed.get("status")) != "error":
            return self._error(Garbled, "the answer says neither ok nor error", answer, said)
        if answer.status == 401:
            return self._error(AuthFailed, "the login is refused", answer, said)
        code = processed.get("code")
        if answer.status >= 500 or code in (THEIR_OWN, str(THEIR_OWN)):
            return self._error(ServerError, "the service failed", answer, said)
        said = said or f"no reason is given (code {_text(code)})"
        return self._error(Rejected, "the service refused the order", answer, said)

    def _unprocessed(self, answer: Answer) -> RemoteError:
        """What an answer means that the command itself has not given."""
        if answer.ok:
            return self._error(Garbled, "the answer has no processing_result", answer)
        if answer.status >= 500:
            # Also with Retry-After: what stands before the service may have let the call through.
            return self._error(ServerError, f"HTTP {answer.status}: it failed", answer)
        return status_error(answer, self._name)

    def _error(
        self, kind: type[RemoteError], text: str, answer: Answer, said: str = ""
    ) -> RemoteError:
        told = answer.masked(said)
        return kind(
            f"{self._name}: {text}" + (f": {told}" if told else ""),
            status=answer.status,
            retry_after=retry_after_of(answer.headers),
            # The text alone, where there is one: beside it stands what differs from answer to answer.
            excerpt=told or answer.excerpt,
        )


def _processed(answer: Answer) -> dict[str, Any] | None:
    """The command's own word on how it went; None: the answer is none of the command's."""
    found = answer.json.get("processing_result") if isinstance(answer.json, dict) else None
    return found if isinstance(found, dict) and "status" in found else None


def _words(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _within(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _text(number: object) -> str | None:
    """A number or a text as one that the ledger can keep; None for what names no order."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int | str):
        return None
    text = str(number).strip() if isinstance(number, str) or abs(number) < 10**20 else ""
    is_kept = 0 < len(text) <= LONGEST_NUMBER and text.isprintable()
    return text if is_kept else None
