"""Where somebody is told that a person is needed: the channels of ORDERBRIDGE_NOTIFY, and the heartbeat's
address.

In: the texts of both settings, which are secrets. Out: channels with a name that shows of each address its
scheme, and the host where that cannot be a token. Fails with `SettingsError`, which never shows an
address. Whether apprise understands an address is asked in clients/notifier.py. Called by settings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from connection import LOOPBACK, is_address, is_loopback
from connections_file import SettingsError

NOTIFY = "ORDERBRIDGE_NOTIFY"
HEARTBEAT = "ORDERBRIDGE_HEARTBEAT_URL"
# More is a slip: each is called for each message.
MOST = 10
# An address may hold a comma, so what ends one is the scheme of the next. As apprise's own split.
_BETWEEN = re.compile(r"(?<![,\s])[,\s]++(?=[A-Za-z][A-Za-z0-9]{1,20}://)")
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9]{1,20})://\S+")
# Those whose address begins with a host; with others, such as tgram, the token stands there.
# Source: github.com/caronc/apprise/wiki, the page of each.
_WITH_HOST = frozenset(
    f"{scheme}{secure}"
    for scheme in ("json", "xml", "form", "mailto", "apprise", "gotify", "mmost", "rocket")
    for secure in ("", "s")
)
_HOST = re.compile(r"[a-z0-9.:-]{1,60}")


@dataclass(frozen=True, slots=True)
class Channel:
    """One address. `name` is what logs, tables and people know it by."""

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        scheme = self.url.partition("://")[0].lower()
        return f"{self.number} {scheme}://{self._host or '…'}"

    @property
    def is_local(self) -> bool:
        """Whether it leads to this machine and nowhere else."""
        return self._host in LOOPBACK

    @property
    def _host(self) -> str:
        """Empty where what stands in the host's place may be something else."""
        scheme, _, rest = self.url.partition("://")
        host = _parsed(self.url)
        if scheme.lower() not in _WITH_HOST or host is None:
            return ""
        after = rest[len(host.netloc) :]
        path, _, query = after.partition("?")
        # A password with / ? # in it that is not percent-encoded ends the host too soon.
        torn = (
            "@" in path or "#" in after or any("@" in p.partition("=")[0] for p in query.split("&"))
        )
        name = host.hostname or ""
        return name if _HOST.fullmatch(name) and not torn else ""


def listed(text: str) -> tuple[Channel, ...]:
    """The channels of ORDERBRIDGE_NOTIFY, separated by commas or lines. Raises SettingsError."""
    urls = _BETWEEN.split(text.strip().strip(",").strip()) if text.strip(" ,\n") else []
    if len(urls) > MOST:
        raise SettingsError(f"{NOTIFY} has {len(urls)} addresses; {MOST} at most are told.")
    for number, url in enumerate(urls, 1):
        if not _ADDRESS.fullmatch(url):
            raise SettingsError(
                f"{NOTIFY}: number {number} is no address such as tgram://TOKEN/CHAT or "
                "mailto://USER:PASSWORD@HOST; in a password : / ? # @ and blanks must be percent-encoded."
            )
    return tuple(Channel(number, url) for number, url in enumerate(urls, 1))


def not_understood(channel: Channel) -> SettingsError:
    """What to say of an address that apprise does not take."""
    return SettingsError(
        f"{NOTIFY}: apprise does not understand number {channel.number} ({channel.name.split()[1]}): compare "
        "it with https://github.com/caronc/apprise/wiki; in a password : / ? # @ must be percent-encoded."
    )


def heartbeat_url(text: str) -> str | None:
    """The address that is called after good polls; None when there is none. Raises SettingsError."""
    text = text.strip()
    if not text:
        return None
    if not is_address(text):
        raise SettingsError(f"{HEARTBEAT} must be a URL such as https://hc-ping.com/UUID.")
    if text.startswith("http:") and not is_loopback(text):
        raise SettingsError(
            f"{HEARTBEAT} must begin with https:// (http is for this machine only)."
        )
    return text


def _parsed(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts
