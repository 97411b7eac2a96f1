"""A program of its own that speaks to apprise: what is to be said comes in, what became of it goes out.

In: one JSON object on stdin, `{"limit": seconds, "letters": [[url, title, body], ...]}`; a letter without a
body only asks whether the address is understood. Out: a JSON line `[index, outcome]` on stdout as soon as
it is known: `taken`, `understood`, `not_understood`, `refused`, or `refused_401` with the HTTP status.
Nothing else is written: apprise's own lines may hold an address. Fails by ending, at the latest after
`limit`. Started by clients/notifier.py. Source: docs/decisions/apprise-tells.md.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys

import apprise

_STATUS = re.compile(r"error=(\d{3})\b")


class LastStatus(logging.Handler):
    """Keeps the HTTP status that apprise's last warning names."""

    status = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = _STATUS.search(record.getMessage())
        if found:
            self.status = found[1]


def main() -> None:
    asked = json.load(sys.stdin)
    asset = apprise.AppriseAsset(
        app_id="orderbridge",
        app_desc="orderbridge",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        # An address of ours is a secret: it is not carried to where somebody else points.
        http_redirects=False,
    )
    # Loads all that apprise knows, once, before it is shared.
    apprise.Apprise.instantiate("json://127.0.0.1", asset=asset)
    # A process for each: apprise's own threads are few, and one that hangs would keep another from them.
    started = [
        os.fork() or one(index, letter, asset, asked["limit"])
        for index, letter in enumerate(asked["letters"])
    ]
    for process in started:
        os.waitpid(process, 0)


def one(index: int, letter: list[str], asset: apprise.AppriseAsset, limit: float) -> int:
    # Whoever started it may be gone, and an address may answer a byte a minute.
    signal.alarm(int(limit))
    try:
        outcome = deliver(letter, asset)
    except Exception:  # noqa: BLE001  a plugin may raise what it likes, and its text may hold the address
        outcome = "refused"
    os.write(1, f"{json.dumps([index, outcome])}\n".encode())
    os._exit(0)


def deliver(letter: list[str], asset: apprise.AppriseAsset) -> str:
    url, title, body = letter
    seen = LastStatus()
    apprise.logger.addHandler(seen)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return "not_understood"
    if not body:
        return "understood"
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    if sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        return "taken"
    return f"refused_{seen.status}" if seen.status else "refused"


if __name__ == "__main__":
    main()
