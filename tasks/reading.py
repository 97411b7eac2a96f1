"""Reads processes of a target through its guards: a place, the gate of reads, the rate.

In: a target and external ids. Out: what each process says, the names of stages beside their ids. Fails with
`NotRead`, which says after how long to ask again, and with `StoreUnavailable`. Called by tasks/listening and
tasks/reconciling. Source: docs/contracts/onebox.md, "order/get".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from clients.errors import AuthFailed, ConnectionFault, RemoteError
from connectors.ports import Listener
from ledger.connections import PERSON
from mapping.hook import Said
from tasks import calling, retry
from tasks.calling import Calls, NoTurn, tell
from tasks.gate import Admission, Gate
from tasks.resources import Remote

# A read waits this long for its turn under the rate limit, in seconds; and, once it has a place among the
# reads, for one among all calls.
PATIENCE = 5.0
PLACE_PATIENCE = 2.0

log = structlog.get_logger()


class NotRead(Exception):  # noqa: N818  it says what is, as the errors of clients do
    """The target was not read; it may be after `wait` seconds. `counts`: it was asked, and failed."""

    def __init__(self, wait: float, *, counts: bool) -> None:
        super().__init__("The processes could not be read.")
        self.wait = wait
        self.counts = counts


def may_read(target: Remote) -> bool:
    """Whether the target may be asked now: not while it is down, nor while its reads are paused or fail. A
    person who has paused what is written there leaves it open to be read.
    """
    if target.gate.row().closed_by not in (None, PERSON):
        return False
    return target.read_gate.admit() is not Admission.CLOSED


def place(
    target: Remote, holder: str, waiting: str, ring: Callable[[list[str]], object]
) -> AbstractContextManager[bool]:
    """A place among the reads of this target for as long as the block runs, or False: then `waiting` waits
    in line, and whoever frees a place rings for it.
    """
    return calling.place(target, "read", holder, ring, waiting=waiting, patience=PLACE_PATIENCE)


def read(
    target: Remote,
    listener: Listener,
    external_ids: Sequence[str],
    tries: int = 0,
    told: Sequence[Said] = (),
) -> dict[str, Said]:
    """What these processes say, by external id, of those that the target has. The names of stages are known
    afterwards, also of what was `told`, if it tells any.
    """
    calls = Calls(target, target.read_gate, patience=PATIENCE)
    try:
        said = calls.make(lambda: listener.read(external_ids, told, calls.begin))
    except NoTurn:
        raise NotRead(target.rate.wait_time(), counts=False) from None
    except RemoteError as exc:
        _tell(target.read_gate, exc, external_ids)
        log.warning("process_not_read", target=target.name, because=type(exc).__name__)
        raise NotRead(retry.wait(tries, exc.retry_after), counts=True) from exc
    target.read_gate.succeeded()
    return said


def _tell(gate: Gate, exc: RemoteError, external_ids: Sequence[str]) -> None:
    """Tell the gate of reads what an error says about the connection. What looks like its fault may be that
    of a process: several different ones that meet it in a row close the gate, read together they do not.
    """
    if isinstance(exc, AuthFailed):
        gate.fault(str(exc))
    elif isinstance(exc, ConnectionFault) and len(external_ids) == 1:
        gate.suspect(str(exc), external_ids[0])
    else:
        tell(gate, exc)
