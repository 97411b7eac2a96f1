"""The one tree of errors that talking to a remote can end in, and the masking of what is quoted.

Add a class only where the caller must act differently; each takes one message and keyword fields
with defaults, so that it pickles whole.

ClientError
├── StoreUnavailable      our own Redis is away: nothing was sent, no try is counted
└── RemoteError
    ├── Transient         certain that nothing happened: try later
    │   ├── Unreachable   no connection, or no login, could be made
    │   ├── RateLimited   429, 425, 503 with Retry-After: wait `retry_after` seconds
    │   └── TokenLost     a dead-token answer again, right after a good renewal
    ├── Uncertain         sent: may have taken effect, or may yet
    │   ├── TimedOut      no whole answer within the time-out
    │   ├── Dropped       the connection broke after something was sent
    │   ├── ServerError   any other 5xx
    │   └── Garbled       an answer that cannot be read
    ├── Rejected          permanent, the fault of this order
    │   ├── NotFound      the remote does not know the order
    │   ├── PhoneTaken    the buyer's phone is on another card (OneBox #12903, #4765)
    │   └── IllegalTransition  the status does not follow from the present one (`possible`)
    └── ConnectionFault   the fault of the connection: pause it, orders wait
        ├── AuthFailed    the login is refused
        ├── Forbidden     the login is good, the permission is missing
        └── Misconfigured wrong address, certificate, workflow or stage
"""

import re
from collections.abc import Iterable
from typing import ClassVar

from plain_text import line

EXCERPT_LENGTH = 200
_MASK = "***"
# What is looked at before masking: long bodies are never scanned whole.
_SCANNED = 4096


class ClientError(Exception):
    """Anything a client raises on purpose; `counts_for_breaker`: the remote looks down."""

    counts_for_breaker: ClassVar[bool] = False


class StoreUnavailable(ClientError):  # noqa: N818  the tree reads as outcomes, not as ...Error
    """Our own Redis does not answer: a transient fault of ours, nothing was sent to the remote."""


class RemoteError(ClientError):
    """The remote's answer, or the lack of one.

    `status` is the HTTP status, `retry_after` seconds (at most `statuses.RETRY_AFTER_CEILING`),
    `excerpt` at most 200 masked characters of the body. The message holds no secret.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.excerpt = excerpt


class Transient(RemoteError):  # noqa: N818  see above
    """Certain that nothing happened; the same call may be made again later."""


class Unreachable(Transient):
    counts_for_breaker = True


class RateLimited(Transient):
    counts_for_breaker = True


class TokenLost(Transient):
    """Not counted by the breaker: the remote is up (docs/architecture.md, "Waits, leases and probes")."""


class Uncertain(RemoteError):  # noqa: N818  see above
    """Sent; look the order up before it is sent again (docs/contracts/onebox.md, "Errors that matter")."""

    counts_for_breaker = True


class TimedOut(Uncertain):
    pass


class Dropped(Uncertain):
    pass


class ServerError(Uncertain):
    pass


class Garbled(Uncertain):
    pass


class Rejected(RemoteError):  # noqa: N818  see above
    """Permanent: the order waits for a person, the message holds the remote's masked text."""


class NotFound(Rejected):
    pass


class PhoneTaken(Rejected):
    pass


class IllegalTransition(Rejected):
    """The action does not start from the present state; `possible` are those that do."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
        possible: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, status=status, retry_after=retry_after, excerpt=excerpt)
        self.possible = possible


class ConnectionFault(RemoteError):  # noqa: N818  see above
    """Every order would fail alike: pause the connection, hold none of them for it."""


class AuthFailed(ConnectionFault):
    pass


class Forbidden(ConnectionFault):
    pass


class Misconfigured(ConnectionFault):
    pass


_BEARER = re.compile(r"(?i)\b(bearer|basic)\s[\w.~+/=-]{4,}+")
_NAMED_SECRET = re.compile(
    r"""(?ix) ( (?:token|password|secret|api_?key) ["']? \s? [:=] \s? )
        (?: "[^"]*+" | '[^']*+' | [^\s"',;&<>{}\[\]]++ )""",
)
# Begins where nothing of an address stands before it: a long word is read once, not from each letter.
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]++@(?:[.+%]*+[\w-]++)++")
# Seven digits and more, also with the separators people write phones with.
_DIGITS = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){6,}")


def masked(text: str, secrets: Iterable[str] = (), length: int = EXCERPT_LENGTH) -> str:
    """At most `length` characters of the text, without e-mails, long numbers and secrets.

    In: any text of a remote, the secrets of the connection. Out: one line fit for logs and for the
    order desk. Called wherever a remote's text enters an error.
    """
    text = line(text[:_SCANNED])
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    text = _BEARER.sub(rf"\1 {_MASK}", text)
    text = _NAMED_SECRET.sub(rf"\1{_MASK}", text)
    text = _EMAIL.sub(_MASK, text)
    text = _DIGITS.sub(_MASK, text)
    return text if len(text) <= length else text[: length - 1] + "…"
