"""What an HTTP status alone means, where no remote's own words say more.

Change it when a status is to be called otherwise, or a remote may ask for a longer pause. In: an answer
of 300 to 599. Out: the error to raise. Never fails.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from clients.base import Answer
from clients.errors import (
    AuthFailed,
    Forbidden,
    Misconfigured,
    RateLimited,
    Rejected,
    RemoteError,
    ServerError,
    TimedOut,
)

# Seconds; the longest pause of the retry policy (docs/architecture.md, "Waits, leases and probes").
RETRY_AFTER_CEILING: Final = 900.0

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)

# 4xx that are not the order's fault; any other 4xx is.
_STATUSES: Final[dict[int, tuple[type[RemoteError], str]]] = {
    401: (AuthFailed, "the login is refused; correct the credentials"),
    402: (Forbidden, "the remote asks for payment; settle the account"),
    403: (Forbidden, "the login lacks a permission; grant it there"),
    404: (Misconfigured, "the address does not exist; check the URL"),
    405: (Misconfigured, "the address does not take this method; check the URL"),
    407: (Misconfigured, "a proxy asks for a login"),
    408: (TimedOut, "the remote waited too long for the request"),
    410: (Misconfigured, "the address is gone; check the URL"),
    421: (Misconfigured, "the host does not serve this address; check the URL"),
    425: (RateLimited, "the remote asks to try later"),
    426: (Misconfigured, "the remote asks for another protocol; check the URL"),
    429: (RateLimited, "too many calls; it is tried again when the remote allows"),
    451: (Forbidden, "the remote refuses for legal reasons"),
}


def status_error(answer: Answer, host: str) -> RemoteError:
    """Our error for an HTTP status that is no success: total over 300 to 599.

    A client looks for the domain's own meaning first; this is what the status alone says.
    """
    status, retry_after = answer.status, retry_after_of(answer.headers)
    kind: type[RemoteError]
    if status == 503 and retry_after is not None:
        kind, text = RateLimited, "down for a while; it is tried again when the remote allows"
    elif status >= 500:
        kind, text = ServerError, "the remote failed"
    elif status < 400:
        kind, text = Misconfigured, "the address redirects; set the URL to where it leads"
    else:
        kind, text = _STATUSES.get(status, (Rejected, "the remote refused the request"))
    return kind(
        f"{host}: HTTP {status}: {text}",
        status=status,
        retry_after=retry_after,
        excerpt=answer.excerpt,
    )


def retry_after_of(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (number or HTTP date), 0 to the ceiling; None without one."""
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), RETRY_AFTER_CEILING)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CEILING)
