"""The threads that call the application, in lanes: whether this process lives is answered by one that has
nothing else to do, readiness, figures and pages by others than the doors, what is large one after another.

In: requests that have wholly come, each with whom to tell. Out: their answers, told from the thread that made
them. Nothing fails. A lane is added here. Called by gateway/connection.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from gateway.wsgi import Request, answer, written

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Requests of the doors worked on at the same time. More of them share a commit, and wait longer for the
# interpreter: 8 took in as much as 4 or 16 and kept the 99th percentile lowest.
DOORS = 8
# Readiness, figures and the page at the root ask the ledger, which may be slow; whether the process lives
# asks nobody. What takes no key keeps no thread of the doors.
FIGURES, ALIVE = 2, 1
# Requests with more bytes are worked on one at a time: each keeps the interpreter for a tenth of a second and
# takes some 50 MB of memory. Four at once made everyone else wait for a second, now for a twentieth.
LARGE_BODY = 64 * 1024
LARGE = 1
LANE_OF = {b"/healthz": "alive"} | dict.fromkeys(
    (b"/", b"/readyz", b"/metrics", b"/api/docs", b"/api/openapi.json", b"/CreateOrder/docs"),
    "figures",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A request; `wanted` says whether anybody still waits for it, `tell` takes the answer's bytes, whether
    the connection may be used again, and for how many seconds the answer is to be kept back.
    """

    request: Request
    wanted: Callable[[], bool]
    tell: Callable[[bytes, bool, float], None]


class Workers:
    """All lanes over one application. `stopping` ends every connection with its next answer."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self.stopping = False
        self._lanes: dict[str, SimpleQueue[Job]] = {}
        lanes = {"doors": DOORS, "large": LARGE, "figures": FIGURES, "alive": ALIVE}
        for lane, threads in lanes.items():
            queue: SimpleQueue[Job] = SimpleQueue()
            self._lanes[lane] = queue
            for number in range(threads):
                threading.Thread(
                    target=self._work, args=(queue,), name=f"{lane}-{number}", daemon=True
                ).start()

    def do(self, job: Job) -> None:
        """Have it done by the next free thread of its lane."""
        lane = "large" if len(job.request.body) > LARGE_BODY else "doors"
        self._lanes[LANE_OF.get(job.request.path, lane)].put(job)

    def _work(self, queue: SimpleQueue[Job]) -> None:
        while True:
            job = queue.get()
            # Whoever has gone is not worked for: in a crowd that would be most of the work.
            if job.wanted():
                said = answer(self._app, job.request)
                keep_alive = job.request.keep_alive and not self.stopping
                job.tell(written(said, keep_alive=keep_alive), keep_alive, said.seconds)
