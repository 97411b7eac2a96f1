"""One connection to the gateway: reads requests, has them done in turn, writes the answers, and keeps time.

In: bytes of a caller, answers of the workers. Out: bytes. Whoever does not ask, does not finish what he asks
or does not take the answer within the times below is cut off; nobody's thread waits for him. Nothing fails.
Called by asyncio and by gateway/server.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from gateway.addresses import counted_as
from gateway.large_bodies import LargeBodies
from gateway.places import Places
from gateway.reading import Reader, Unreadable
from gateway.workers import Job, Workers

# Seconds from the connection, or from the first byte of a later request, to the end of its headers.
HEAD = 10.0
# Seconds from there to the end of its body.
BODY = 20.0
# Seconds between two requests. nginx keeps a connection for 60: who asks should be the one to close.
IDLE = 65.0
# Seconds in which an answer is taken.
TAKE = 20.0
# Seconds, and bytes, that are read and forgotten after a refusal, so that it is not lost with what
# was on its way (RFC 9112, 9.6).
LINGER = 2.0
MOST_FORGOTTEN = 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CROWDED = "Too many large requests come at once. Send this one again in a moment."
NEVER = float("inf")
NOWHERE = ("", 0)


@dataclass(slots=True)
class House:
    """What all connections share; `cut_off` counts those that were, by why."""

    loop: asyncio.AbstractEventLoop
    workers: Workers
    largest: Callable[[str], int]
    places: Places = field(default_factory=Places)
    bodies: LargeBodies = field(default_factory=LargeBodies)
    cut_off: dict[str, int] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """See above. Everything here happens in the thread of the event loop, but `wanted` and `tell`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.address, self.served = "", False
        self._called = self._kept_back = self._blocked = False
        self._eof = self._last = self._lingers = self._gone = False
        self._forgotten = 0
        self._held = b""
        self._refusal: Unreadable | None = None

    @property
    def waits(self) -> bool:
        """Whether it is the caller's turn."""
        return self._kept_back or not self._called

    # --- what asyncio calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  as create_server gives it
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        # A caller who has gone again has no address any more.
        caller, server = (
            (transport.get_extra_info(name) or NOWHERE)[:2] for name in ("peername", "sockname")
        )
        self.address = counted_as(caller[0])
        self._reader = Reader(self._house.largest, caller, server)
        self._until(HEAD)
        if not self._house.places.enter(self):
            self._cut("refused")

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            self._forgotten += len(data)
            if self._forgotten > MOST_FORGOTTEN:
                self._transport.abort()
        elif self._called or self._blocked:
            self._held += data
            self._transport.pause_reading()
        else:
            self._read(data)

    def eof_received(self) -> bool:
        self._eof = True
        # Half closed: he asks no more, and may still listen to the answer.
        return self._called or self._blocked

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's
        self._gone = True
        self._house.places.leave(self)
        self._house.bodies.hold(self, 0)

    def pause_writing(self) -> None:
        self._blocked = True
        self._until(TAKE)

    def resume_writing(self) -> None:
        self._blocked = False
        self._go_on()

    # --- reading --------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        reader = self._reader
        begun, in_body = reader.begun, reader.in_body
        try:
            reader.feed(data)
        except Unreadable as refusal:
            self._refusal = refusal
        crowding = self._house.bodies.hold(self, reader.holds)
        if reader.begun:
            if reader.in_body and not in_body:
                self._until(BODY)
            elif not begun and self.served:
                self._until(HEAD)
            if reader.expecting and not reader.requests:
                reader.expecting = False
                self._transport.write(CONTINUE)
        if crowding is not None:
            crowding.crowd_out()
        self._go_on()

    def crowd_out(self) -> None:
        """Give up what it holds: all together hold too much."""
        if self._called:
            self._cut("crowded out")
            return
        self._reader.forget()
        self._house.bodies.hold(self, 0)
        self._refuse(Unreadable(503, CROWDED))

    def _go_on(self) -> None:
        """Do what is next, unless something is being done."""
        if self._called or self._blocked or self._gone or self._lingers:
            return
        if self._last:
            self._finish()
        elif self._reader.requests:
            self._called = True
            self._deadline = NEVER
            self._house.workers.do(Job(self._reader.requests.popleft(), self.wanted, self.tell))
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._held:
            data, self._held = self._held, b""
            self._transport.resume_reading()
            self._read(data)
        elif self._eof:
            self._transport.close()

    # --- answering ------------------------------------------------------------------------------------

    def wanted(self) -> bool:
        """Whether the caller still listens. Called by workers."""
        return not self._gone

    def tell(self, answer: bytes, keep_alive: bool, seconds: float) -> None:
        """Take an answer, to be kept back so long. Called by workers."""
        # The loop has ended when a stop did not wait for this answer.
        with suppress(RuntimeError):
            self._house.loop.call_soon_threadsafe(self._told, answer, keep_alive, seconds)

    def _told(self, answer: bytes, keep_alive: bool, seconds: float) -> None:
        if seconds:
            self._kept_back = True
            self._house.loop.call_later(seconds, self._told, answer, keep_alive, 0.0)
            return
        self._called = self._kept_back = False
        if self._gone:
            return
        self._house.bodies.hold(self, self._reader.holds)
        self.served = True
        self._last = not keep_alive
        # A part of the next request may have come with this one.
        self._until(IDLE if not self._reader.begun else BODY if self._reader.in_body else HEAD)
        self._transport.write(answer)
        self._go_on()

    def _refuse(self, refusal: Unreadable) -> None:
        """Say what was wrong with what came, in the form of every other error, and close."""
        request_id = secrets.token_hex(8)
        said = orjson.dumps({"error": refusal.sentence, "request_id": request_id})
        lines = (
            f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(said)}",
            f"X-Request-Id: {request_id}",
            "X-Content-Type-Options: nosniff",
            "Cache-Control: no-store",
            "Connection: close",
        )
        self._count(str(refusal.status))
        self._last = True
        self._until(TAKE)
        self._transport.write("\r\n".join((*lines, "", "")).encode() + said)
        self._go_on()

    # --- closing --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Close when the caller has all that was written; what he still sends is read and forgotten."""
        if self._eof:
            self._transport.close()
            return
        self._lingers = True
        self._held = b""
        self._until(LINGER)
        try:
            self._transport.write_eof()
        except OSError:
            # He has gone already.
            self._transport.abort()
        else:
            self._transport.resume_reading()

    def drop(self) -> None:
        """Give up its place to another."""
        self._cut("crowded out")

    def wind_up(self, *, patient: bool) -> None:
        """Close unless something of his is being done or written; who is patient lets it come, too."""
        comes = self._reader.begun and not self._lingers
        if not (self._called or self._blocked or (comes and patient)):
            self._transport.close()

    def expire(self, now: float) -> None:
        """Cut off whoever has had his time."""
        if now < self._deadline or self._gone:
            return
        if self._reader.begun and not (self._blocked or self._lingers):
            part = "body" if self._reader.in_body else "headers"
            self._refuse(Unreadable(408, f"The request's {part} took too long to come."))
        elif self._lingers:
            self._transport.abort()
        else:
            self._cut("answer" if self._blocked else "silent" if not self.served else "idle")

    def _cut(self, why: str) -> None:
        """Close at once, without a word."""
        self._count(why)
        self._gone = True
        self._transport.abort()

    def _count(self, why: str) -> None:
        self._house.cut_off[why] = self._house.cut_off.get(why, 0) + 1

    def _until(self, seconds: float) -> None:
        self._deadline = self._house.loop.time() + seconds
