"""Where the two stores are, the ledger's database and Redis, and that nobody listens on the way there.

In: the texts of DATABASE_URL and REDIS_URL. Out: addresses as the libraries take them. Both carry a password,
and personal data or tokens: off this machine only over TLS that checks who answers, unless `insecure`
(`..._INSECURE=1`) says that the way there is safe. Fails with `SettingsError`. Called by settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

from connection import LOOPBACK
from connections_file import SettingsError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

# libpq: what else says where the server is, in the address and around it.
_ELSEWHERE = {"conninfo", "hostaddr", "service", "servicefile"}
_ELSEWHERE_AROUND = ("PGHOSTADDR", "PGSERVICE")
# The one mode that proves whom we talk to: `require` takes any certificate, `verify-ca` anybody's of that
# authority. https://www.postgresql.org/docs/current/libpq-ssl.html
_PROVEN = "verify-full"
# redis-py: what may be said of TLS beside what makes it believe anybody.
_TLS = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_min_version"}


def database_url(text: str, data: Path, *, insecure: bool) -> str:
    """The ledger's address; by default a SQLite file in the data folder."""
    text = text.strip()
    if not text:
        return f"sqlite:///{data / 'ledger.db'}"
    if text.startswith("sqlite:"):
        return _file(text)
    text = _with_driver(text)
    address = _parsed(text)
    if not insecure and not _is_local(address) and _said(address, "sslmode") != {_PROVEN}:
        raise SettingsError(
            "DATABASE_URL leads off this machine, so personal data and the password must go over TLS to a "
            f"server that proves itself: add sslmode={_PROVEN} to it, and sslrootcert= with the file of "
            "your authority or `system`. On a network that only your own machines reach set "
            "DATABASE_INSECURE=1."
        )
    return text


def redis_url(text: str, *, insecure: bool) -> str | None:
    """The broker's address; None when there is none."""
    text = text.strip()
    if not text:
        return None
    address = _redis(text)
    if not insecure and not _is_near(address) and not _is_proven(address):
        raise SettingsError(
            "REDIS_URL leads off this machine, so the password and what is queued must go over TLS to a "
            "server that proves itself: begin it with rediss://, with ssl_ca_certs=FILE for an authority "
            "of your own and nothing that turns checks off. On a network that only your own machines reach "
            "set REDIS_INSECURE=1."
        )
    if address.query:
        _demand_parameters(text)
    return text


def _file(text: str) -> str:
    """A ledger in the memory of one process would be another one for each."""
    path = text.removeprefix("sqlite:///")
    if path == text or not path or path.startswith((":", "file:")) or "?" in path:
        raise SettingsError(
            "DATABASE_URL must be sqlite:/// and the path of a file, such as "
            "sqlite:////var/lib/orderbridge/ledger.db."
        )
    if Path(path).is_dir():
        raise SettingsError(f"DATABASE_URL names a folder, {path}: what is wanted is a file.")
    return text


def _with_driver(text: str) -> str:
    for begin in ("postgresql://", "postgres://", "postgresql+psycopg://"):
        if text.startswith(begin):
            return f"postgresql+psycopg://{text.removeprefix(begin)}"
    raise SettingsError("DATABASE_URL must begin with postgresql:// or sqlite:///.")


def _parsed(text: str) -> URL:
    # The parser of those who connect: another one may take another part for the host. Imported where
    # PostgreSQL is used alone, since a command that needs neither takes a third of a second less without.
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        address = make_url(text)
    except (ArgumentError, ValueError):
        address = None
    if address is None or not text.isprintable() or " " in text or not _is_port(address.port):
        raise SettingsError(
            "DATABASE_URL is no address such as postgresql://user:password@host:5432/database; "
            "in a password : / ? # @ and blanks must be percent-encoded."
        )
    return address


def _is_port(number: int | None) -> bool:
    return number is None or 0 < number < 65_536


def _said(address: URL, key: str) -> set[str]:
    return {str(one) for one in address.normalized_query.get(key, ())}


def _is_local(address: URL) -> bool:
    """Whether only this machine can answer: a loopback address or a unix socket, and nothing says another."""
    if set(address.query) & _ELSEWHERE or any(os.environ.get(name) for name in _ELSEWHERE_AROUND):
        return False
    return all(host in LOOPBACK or host.startswith("/") for host in _hosts(address))


def _hosts(address: URL) -> Iterator[str]:
    """Each host that libpq would try; none: a unix socket."""
    listed = [address.host, *_said(address, "host")]
    named = [host for host in listed if host] or [os.environ.get("PGHOST", "")]
    for text in named:
        for host in text.split(","):
            # With a port, as SQLAlchemy writes several.
            place = host.strip()
            yield place.partition(":")[0] if place.count(":") == 1 else place or "/"


def _redis(text: str) -> SplitResult:
    # Celery would take what follows a semicolon for a second server.
    if not text.startswith(("redis://", "rediss://")) or ";" in text:
        raise SettingsError(
            "REDIS_URL must be one address that begins with redis:// or rediss://; in a password "
            ": ; / ? # @ must be percent-encoded."
        )
    try:
        address = urlsplit(text)
        is_good = _is_port(address.port) and text.isprintable() and " " not in text
        # What is no number the libraries would take for none.
        is_good = is_good and not address.path.strip("/").strip("0123456789")
    except ValueError:
        is_good = False
    if not is_good:
        raise SettingsError(
            "REDIS_URL is no address such as redis://user:password@host:6379/0; in a password "
            ": ; / ? # @ and blanks must be percent-encoded."
        )
    return address


def _demand_parameters(text: str) -> None:
    """Raises SettingsError where one is none that the client takes, or none of its values."""
    from redis.connection import ConnectionPool  # noqa: PLC0415  as above; few addresses have any
    from redis.exceptions import RedisError  # noqa: PLC0415  as above

    try:
        ConnectionPool.from_url(text).make_connection()
    except (TypeError, ValueError, RedisError):
        raise SettingsError(
            "REDIS_URL has a parameter behind its ? that redis-py does not take."
        ) from None


def _is_near(address: SplitResult) -> bool:
    said = {value for name, value in parse_qsl(address.query) if name == "host"}
    return said | {address.hostname or "localhost"} <= LOOPBACK


def _is_proven(address: SplitResult) -> bool:
    said = [(name, value) for name, value in parse_qsl(address.query) if name.startswith("ssl")]
    return address.scheme == "rediss" and all(
        name in _TLS or (name, value) == ("ssl_cert_reqs", "required") for name, value in said
    )
