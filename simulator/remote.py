"""What all stand-ins have in common: calls, answers, counters, faults and the journal.

Change it when a remote's rule is the same for all of them; what only one does is in its own file.
"""

import bisect
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import orjson

from simulator.faults import Faults
from simulator.journal import Journal

KEPT_REQUESTS = 50_000
NO_HEADERS: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What goes back: status, body bytes, further headers and the content type."""

    status: int
    body: bytes
    headers: Mapping[str, str] = NO_HEADERS
    content_type: str = "application/json"


class Call(NamedTuple):
    """One request as it came in; `raw` is its body, `body` that parsed as JSON or form, or None."""

    path: str
    headers: Mapping[str, str]
    body: Any
    form: bool = False
    method: str = "POST"
    raw: bytes = b""


Route = Callable[[Call], Awaitable[Answer]]
Routes = Mapping[tuple[str, str], Route]


class Refused(Exception):  # noqa: N818  an answer of the remote, not an error of ours
    """A remote's refusal on its way out of a handler; carries the finished answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with status {answer.status}")
        self.answer = answer


@dataclass(slots=True)
class Recorded:
    """One request in the log; `time` is the clock's seconds, `status` None until answered.

    Status 0 means that the client got no answer. Secrets in `body` are masked.
    """

    path: str
    time: float
    body: Any
    token: str
    status: int | None = None
    fault: str = ""
    method: str = "POST"


@dataclass(kw_only=True, eq=False)
class Remote:
    """A remote system: routes calls, counts them, keeps a journal of its effects.

    In: `data`, the journal's folder (None: memory only); `clock`, seconds since the epoch.
    Subclasses give `routes`, `replay` and `state`; the server and tests call the rest.
    Public attributes are read by tests from other threads. `in_flight` counts a call until its
    effect is done, even if the client has gone; what is applied `late` is no longer counted.
    """

    data: Path | None = None
    clock: Callable[[], float] = time.time
    name: str = field(default="remote", init=False)
    faults: Faults = field(default_factory=Faults, init=False)
    requests: list[Recorded] = field(default_factory=list, init=False)
    counts: Counter[str] = field(default_factory=Counter, init=False)
    in_flight: int = field(default=0, init=False)
    max_in_flight: int = field(default=0, init=False)
    lock: RLock = field(default_factory=RLock, init=False, repr=False)
    _journal: Journal | None = field(default=None, init=False, repr=False)
    _replaying: bool = field(default=False, init=False, repr=False)

    def routes(self) -> Routes:
        """Method and path to handler."""
        raise NotImplementedError

    def replay(self, event: list[Any]) -> None:
        """Apply one journal line that an earlier run wrote."""
        raise NotImplementedError

    def refusal(self, text: str) -> Answer:
        """Answer with which this remote refuses an order for the given reason."""
        raise NotImplementedError

    def ids_in(self, body: Any) -> set[str]:
        """External or order ids which a request body carries; empty when it has none."""
        raise NotImplementedError

    def kill_tokens(self) -> None:
        """Every token given out so far is dead from now on."""
        raise NotImplementedError

    def controls(self) -> Mapping[str, Callable[[Any], Any]]:
        """What else the control door does, by name: what people do in this remote. Each raises ValueError."""
        return {}

    async def background(self) -> None:
        """Work of its own while the server runs; ends when cancelled."""

    def open_journal(self) -> bool:
        """Load what an earlier run kept and go on from there; False when there was nothing."""
        if self.data is None:
            return False
        self._journal = Journal(self.data / f"{self.name}.jsonl")
        self._replaying = True
        loaded = 0
        for event in self._journal.load():
            self.replay(event)
            loaded += 1
        self._replaying = False
        return loaded > 0

    def close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def keep(self, *event: Any) -> None:
        """Write one effect to the journal, if there is one."""
        if self._journal is not None and not self._replaying:
            self._journal.append(event)

    async def handle(self, call: Call) -> Answer:
        """Apply the call; a path that does not exist is 404, one that takes other methods 405."""
        routes = self.routes()
        route = routes.get((call.method, call.path))
        if route is None:
            return unrouted([method for method, path in routes if path == call.path])
        try:
            return await route(call)
        except Refused as refused:
            return refused.answer

    def record(self, call: Call) -> Recorded:
        """Count a call that has just come in and note it in the log."""
        self.counts[call.path] += 1
        token = call.headers.get("token") or call.headers.get("Authorization", "")
        entry = Recorded(call.path, self.clock(), masked(call.body), token[-6:], method=call.method)
        self.requests.append(entry)
        if len(self.requests) > KEPT_REQUESTS:
            del self.requests[: KEPT_REQUESTS // 2]
        return entry

    def calls_within(self, seconds: float, path: str | None = None) -> int:
        """How many calls came in during the last `seconds`, of one path or of all."""
        since = self.clock() - seconds
        log = self.requests
        first = bisect.bisect_left(log, since, key=lambda entry: entry.time)
        return sum(path in (None, entry.path) for entry in log[first:])

    def state(self) -> dict[str, Any]:
        """Counters every remote has; subclasses add what they hold."""
        return {
            "name": self.name,
            "requests": dict(self.counts),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "calls_last_1s": self.calls_within(1),
            "calls_last_10s": self.calls_within(10),
            "faults": self.faults.listed(),
        }


SECRETS = ("client_secret", "restapipassword")


def masked(body: Any) -> Any:
    """The same body without credentials, for the log."""
    if isinstance(body, dict) and any(name in body for name in SECRETS):
        return {name: "***" if name in SECRETS else value for name, value in body.items()}
    return body


def unrouted(taken: list[str]) -> Answer:
    """Answer to a call that nothing is there for; `taken` are the methods of its path."""
    if not taken:
        return Answer(404, b'{"error":"not found"}')
    allowed = ", ".join(sorted(taken))
    return as_json(405, {"error": f"only {allowed}"})._replace(headers={"Allow": allowed})


def as_json(status: int, content: Any) -> Answer:
    return Answer(status, orjson.dumps(content))
