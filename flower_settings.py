"""What Flower is told by the environment, checked before Flower looks at it: where it listens, who may enter.

In: the variables FLOWER_... Out: typed values, and `check`, which raises `SettingsError` with one sentence
for the first that is wrong, also of Flower's own options; itself it would end with a traceback, or listen
nowhere. Called by flowerconfig, by `celery -A tasks flower` and by `orderbridge run` before they start it.
"""

from __future__ import annotations

import os
import socket

from environs import Env

import variables
from connections_file import SettingsError
from references import given

ADDRESS, PORT = "127.0.0.1", 5555


def address() -> str:
    return os.environ.get("FLOWER_ADDRESS", "").strip() or ADDRESS


def port() -> int:
    return variables.port(Env(expand_vars=False), "FLOWER_PORT", PORT)


def login() -> str | None:
    """`user:password`; None where nobody chose one."""
    text = given("FLOWER_BASIC_AUTH")
    user, _, password = text.partition(":")
    if text and not (user and password):
        raise SettingsError(
            "FLOWER_BASIC_AUTH must be user:password; that is the login for Flower's pages."
        )
    return text or None


def cookie_secret() -> str | None:
    return given("FLOWER_COOKIE_SECRET") or None


def check() -> None:
    """Raises SettingsError for the first that is wrong."""
    port()
    login()
    cookie_secret()
    _check_own_options()
    demand_place(0)


def demand_place(at: int) -> None:
    """Raises SettingsError where Flower cannot listen at this port of its address; 0: at any."""
    host = address()
    try:
        family, *_, where = socket.getaddrinfo(host, at, type=socket.SOCK_STREAM)[0]
        socket.create_server(where[:2], family=family).close()
    except (OSError, UnicodeError) as exc:
        because = getattr(exc, "strerror", None) or "that is no address"
        raise SettingsError(
            f"Flower cannot listen on {host}{f':{at}' if at else ''}: {because}. Choose another with "
            "FLOWER_ADDRESS and FLOWER_PORT."
        ) from None


def _check_own_options() -> None:
    """Those that Flower reads by itself, whatever it is then told here."""
    ours = ("FLOWER_ADDRESS", "FLOWER_PORT", "FLOWER_BASIC_AUTH", "FLOWER_COOKIE_SECRET")
    others = {n: v for n, v in os.environ.items() if n.startswith("FLOWER_") and n not in ours}
    if not others:
        return
    from flower.options import default_options  # noqa: PLC0415  a third of a second
    from flower.utils import strtobool  # noqa: PLC0415  as above

    known = default_options.as_dict()
    for name, text in others.items():
        option = name.removeprefix("FLOWER_").lower()
        if option not in known:
            continue
        kind = default_options._options[option].type  # noqa: SLF001  as Flower itself asks for it
        try:
            for part in text.split(",") if isinstance(known[option], list) else [text]:
                strtobool(part) if kind is bool else kind(part)
        except (ValueError, TypeError):
            raise SettingsError(f"{name} is no value that Flower takes for it.") from None
