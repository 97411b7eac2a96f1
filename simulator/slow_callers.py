"""Callers who hold connections and never finish: silent ones, ones who dribble headers, ones who dribble a
body. `python -m simulator.slow_callers http://127.0.0.1:8000 --idle 2000 --headers 25 --bodies 25`.

In: an address, how many of each, for how many seconds; whoever is cut off or refused comes again. Out: a JSON
line with how many were held at the end and how often they were cut off or refused. With `--addresses` each
comes from one of so many addresses of this machine (127.0.0.2 and on; Linux has them all). Nothing fails.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

# Seconds between two bytes of one who dribbles, and before one who was cut off comes again, by chance.
BETWEEN_BYTES = 1.0
AGAIN = (1.0, 3.0)
# What each of them says at first, and then byte by byte.
BEGINNINGS: dict[str, tuple[bytes, bytes]] = {
    "idle": (b"", b""),
    "headers": (b"GET /api/v1/updates/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"s"),
    "bodies": (
        (
            b"POST /api/v1/updates HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 4096\r\n\r\n"
        ),
        b" ",
    ),
}


@dataclass
class Crowd:
    """So many callers of each kind. `held` are the connections that they have now."""

    address: str
    counts: dict[str, int]
    addresses: int = 1
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BEGINNINGS, 0))
    cut_off: int = 0
    refused: int = 0

    async def stay(self, seconds: float, told: Callable[[], object] = lambda: None) -> None:
        """Hold what can be held for so long; `told` is called as soon as all have tried to come in once."""
        first = [asyncio.Event() for _ in range(sum(self.counts.values()))]
        kinds = [kind for kind, count in self.counts.items() for _ in range(count)]
        callers = [
            asyncio.create_task(self._call(kind, number, first[number]))
            for number, kind in enumerate(kinds)
        ]
        try:
            async with asyncio.timeout(seconds):
                for tried in first:
                    await tried.wait()
                told()
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        finally:
            self.result = {
                "held": dict(self.held),
                "cut_off": self.cut_off,
                "refused": self.refused,
            }
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)

    async def _call(self, kind: str, number: int, tried: asyncio.Event) -> None:
        to = urlsplit(self.address)
        source = f"127.0.0.{2 + number % self.addresses}" if self.addresses > 1 else None
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    to.hostname, to.port, local_addr=(source, 0) if source else None
                )
            except OSError:
                self.refused += 1
            else:
                await self._hold(kind, reader, writer, tried)
                self.cut_off += 1
            tried.set()
            await asyncio.sleep(random.uniform(*AGAIN))

    async def _hold(
        self,
        kind: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        tried: asyncio.Event,
    ) -> None:
        beginning, drop = BEGINNINGS[kind]
        self.held[kind] += 1
        try:
            writer.write(beginning)
            await writer.drain()
            tried.set()
            pause = BETWEEN_BYTES if drop else None
            # Whatever is answered, it is over then.
            over = asyncio.create_task(reader.read(1))
            while not (await asyncio.wait({over}, timeout=pause))[0]:
                writer.write(drop)
            await over
        except OSError:
            pass
        finally:
            self.held[kind] -= 1
            writer.transport.abort()


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="simulator.slow_callers", description=__doc__)
    top.add_argument("address")
    for kind in BEGINNINGS:
        top.add_argument(f"--{kind}", type=int, default=0)
    top.add_argument("--addresses", type=int, default=1)
    top.add_argument("--seconds", type=float, default=30.0)
    return top


def main(arguments: list[str] | None = None) -> None:
    chosen = parser().parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(
        chosen.address, {kind: getattr(chosen, kind) for kind in BEGINNINGS}, chosen.addresses
    )
    asyncio.run(crowd.stay(chosen.seconds, lambda: _say({"came": crowd.held})))
    _say(crowd.result)


def _say(told: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
