"""Serves a stand-in over HTTP: in a thread for tests, or as a process of its own.

Change it when the wire changes: how calls are read, faults played out, the control door answers.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from threading import Event, Thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from simulator.faults import HONEST, Fault, Plan, fault_from
from simulator.remote import Answer, Call, Recorded, Remote, as_json

LARGEST_BODY = 256 * 1024 * 1024
HTML = "<!DOCTYPE html><html><body><h1>Сайт на технічному обслуговуванні</h1></body></html>"
R = TypeVar("R", bound=Remote)


class Server:
    """One stand-in on one port, inside a running event loop.

    In: the remote, the host and a port (0: any free one). `open` raises OSError when the port
    is taken. A late or slow effect goes on after its client has left, as on a real server.
    """

    def __init__(self, app: Remote, host: str = "127.0.0.1", port: int = 0) -> None:
        self.app = app
        self.host = host
        self.port = port
        self._listener: asyncio.Server | None = None
        self._http: web.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def open(self) -> None:
        loop = asyncio.get_running_loop()

        def request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Any:
            return web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY
            )

        self._http = web.Server(self._serve, request_factory=request, access_log=None)
        await self.up()
        self._spawn(self.app.background())

    async def up(self) -> None:
        """Listen again, on the same port as before."""
        if self._listener is not None or self._http is None:
            return
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            self._http, self.host, self.port, backlog=1024, reuse_address=True
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def down(self, seconds: float | None = None) -> None:
        """Refuse connections and break the open ones; up again after `seconds` if given.

        What was being worked on still takes effect, as in a server whose network is cut.
        """
        self._stop_listening()
        self._hang_up()
        if seconds is not None:
            self._spawn(self._up_after(seconds))

    async def close(self) -> None:
        """End within a second, open connections and unfinished calls included."""
        self._stop_listening()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            self._hang_up()
            await self._http.shutdown(timeout=0.1)
            # Also on whoever was let in at the last moment; what is aborted is closed in the next round.
            self._hang_up()
            await asyncio.sleep(0)
        self.app.close_journal()

    def _hang_up(self) -> None:
        for protocol in self._protocols():
            if protocol.transport is not None:
                protocol.transport.abort()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _protocols(self) -> list[RequestHandler]:
        return self._http.connections if self._http is not None else []

    async def _up_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.up()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_sim/"):
            return await self._control(request)
        call = await read_call(request)
        app = self.app
        entry = app.record(call)
        app.in_flight += 1
        app.max_in_flight = max(app.max_in_flight, app.in_flight)
        try:
            plan = app.faults.plan(path, lambda: app.ids_in(call.body))
            if plan is HONEST:
                return reply(await app.handle(call), entry)
            return await self._play(request, call, plan, entry)
        finally:
            app.in_flight -= 1

    async def _play(
        self, request: web.BaseRequest, call: Call, plan: Plan, entry: Recorded
    ) -> web.StreamResponse:
        """Let one call go wrong as planned."""
        if plan.kill_tokens:
            self.app.kill_tokens()
        if plan.latency:
            await asyncio.sleep(plan.latency)
        fault = plan.outcome
        if fault is None:
            return reply(await self.app.handle(call), entry)
        entry.fault = f"{fault.kind}/{fault.effect}"
        real = Answer(200, b"{}")
        if fault.effect == "applied":
            real = await self.app.handle(call)
        elif fault.effect == "late":
            self._spawn(self._apply_late(call, fault.seconds))
        return await self._misanswer(request, fault, real, entry)

    async def _apply_late(self, call: Call, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.app.handle(call)

    async def _misanswer(
        self, request: web.BaseRequest, fault: Fault, real: Answer, entry: Recorded
    ) -> web.StreamResponse:
        match fault.kind:
            case "drip":
                return await drip(request, real, fault.seconds, entry)
            case "cut":
                return await cut(request, real, entry)
            case "hang" | "drop" | "down":
                entry.status = 0
                await self._say_nothing(request, fault)
                return web.Response()
        return reply(self._spoilt(fault, real), entry)

    def _spoilt(self, fault: Fault, real: Answer) -> Answer:
        match fault.kind:
            case "status":
                return failure(fault)
            case "refuse":
                return self.app.refusal(str(fault.body))
            case "restatus":
                return real._replace(status=fault.status)
            case "garbled":
                return Answer(200, real.body[: len(real.body) * 2 // 3] + b'"\\')
            case "html":
                return Answer(200, HTML.encode(), content_type="text/html")
        return Answer(200, b"")

    async def _say_nothing(self, request: web.BaseRequest, fault: Fault) -> None:
        if fault.kind == "hang":
            await client_gone(request)
        if fault.kind == "down":
            await self.down(fault.seconds)
        if request.transport is not None:
            request.transport.abort()

    async def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        """The door for tests in other processes; not counted and never failing by a fault."""
        raw = await request.read()
        try:
            body = orjson.loads(raw) if raw else None
            answer = await self._command(request, body)
        except (ValueError, TypeError) as error:
            answer = as_json(400, {"error": str(error)})
        return reply(answer, None)

    async def _command(self, request: web.BaseRequest, body: Any) -> Answer:
        match request.method, request.path:
            case "GET", "/_sim/state":
                return as_json(200, self.app.state())
            case "GET", "/_sim/requests":
                path, last = request.query.get("path"), int(request.query.get("last", "1000"))
                log = [entry for entry in self.app.requests if path in (None, entry.path)]
                return as_json(200, log[-last:])
            case "POST", path if path.removeprefix("/_sim/") in self.app.controls():
                return as_json(200, self.app.controls()[path.removeprefix("/_sim/")](body))
            case "POST", "/_sim/faults":
                return as_json(200, {"added": await self._add_faults(body)})
            case "POST", "/_sim/reset-faults":
                self.app.faults.reset()
                return as_json(200, {})
        return as_json(404, {"error": "no such control"})

    async def _add_faults(self, body: Any) -> int:
        """One fault, a list, or {"faults": [...], "seed": N}; `down` takes effect at once."""
        seed = None
        if isinstance(body, dict) and "faults" in body:
            body, seed = body["faults"], body.get("seed")
        faults = [fault_from(raw) for raw in (body if isinstance(body, list) else [body])]
        if seed is not None:
            self.app.faults.seed(int(seed))
        self.app.faults.add(*(fault for fault in faults if fault.kind != "down"))
        for fault in faults:
            if fault.kind == "down":
                # The answer to this very command has to leave first.
                asyncio.get_running_loop().call_later(0.05, self._down_soon, fault.seconds)
        return len(faults)

    def _down_soon(self, seconds: float) -> None:
        self._spawn(self.down(seconds))


async def read_call(request: web.BaseRequest) -> Call:
    """The request with its body, which any method may have, GET too."""
    raw = await request.read()
    if request.content_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(raw.decode(errors="replace"))
        return Call(request.path, request.headers, dict(pairs), True, request.method, raw)
    body = None
    if request.content_type.endswith("json"):
        with contextlib.suppress(orjson.JSONDecodeError):
            body = orjson.loads(raw)
    return Call(request.path, request.headers, body, method=request.method, raw=raw)


def reply(answer: Answer, entry: Recorded | None) -> web.Response:
    if entry is not None:
        entry.status = answer.status
    return web.Response(
        status=answer.status,
        body=answer.body,
        headers=answer.headers or None,
        content_type=answer.content_type,
    )


def failure(fault: Fault) -> Answer:
    """The answer of a `status` fault: a text body is a proxy's HTML page, others are JSON."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if isinstance(fault.body, str):
        return Answer(fault.status, fault.body.encode(), headers, "text/html")
    content = {"error": "simulated fault"} if fault.body is None else fault.body
    return Answer(fault.status, orjson.dumps(content), headers)


async def drip(
    request: web.BaseRequest, real: Answer, seconds: float, entry: Recorded
) -> web.StreamResponse:
    """Send the real answer in single bytes, evenly over `seconds`."""
    entry.status = real.status
    response = await begin(request, real, len(real.body))
    wait = seconds / max(len(real.body), 1)
    with contextlib.suppress(ConnectionError):
        for position in range(len(real.body)):
            await response.write(real.body[position : position + 1])
            await asyncio.sleep(wait)
    return response


async def cut(request: web.BaseRequest, real: Answer, entry: Recorded) -> web.StreamResponse:
    """Promise the whole answer, send half of it and close."""
    entry.status = 0
    response = await begin(request, real, len(real.body) + 1)
    with contextlib.suppress(ConnectionError):
        await response.write(real.body[: (len(real.body) + 1) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def begin(request: web.BaseRequest, real: Answer, length: int) -> web.StreamResponse:
    response = web.StreamResponse(status=real.status)
    response.content_type = real.content_type
    response.content_length = length
    await response.prepare(request)
    return response


async def client_gone(request: web.BaseRequest) -> None:
    # aiohttp tells a handler of a lost connection only by cancelling it, and effects must go on.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110  see above
        await asyncio.sleep(0.02)


class Running(Generic[R]):
    """A stand-in that runs in a thread of its own; a context manager that stops it.

    `url` is where it listens, `app` the Shop or Crm whose state a test reads; `down` and `up`
    close and reopen its port. Raises OSError when the port is taken.
    """

    def __init__(self, app: R, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.app = app
        self._server = Server(app, host, port)
        self._loop = asyncio.new_event_loop()
        self._ready = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"simulated-{app.name}", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    @property
    def url(self) -> str:
        return self._server.url

    def down(self, seconds: float | None = None) -> None:
        """Connection refused from now on, for `seconds` or until `up`."""
        self._call(self._server.down(seconds))

    def up(self) -> None:
        self._call(self._server.up())

    def stop(self) -> None:
        """End the thread; a second call does nothing."""
        if self._thread.is_alive():
            self._call(self._server.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._server.open())
        except OSError as error:
            self._error = error
            self._loop.close()
            return
        finally:
            self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def start(app: R, *, host: str = "127.0.0.1", port: int = 0) -> Running[R]:
    """Run a stand-in in a thread of its own; the answer is used as a context manager.

    Raises OSError when the port is taken.
    """
    return Running(app, host=host, port=port)


async def serve(app: Remote, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the URL once connections are taken."""
    server = Server(app, host, port)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await server.open()
    try:
        ready(server.url)
        await stopped.wait()
    finally:
        await server.close()
