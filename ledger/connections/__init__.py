"""What the ledger knows of a connection: how far it was read, and whether its gates are open."""

from ledger.connections.gate_rows import PERSON, Direction, GateRow, gate, gates
from ledger.connections.gating import (
    ask_to_wait,
    close,
    count_failure,
    give_probe_back,
    is_cleared,
    open_gate,
    suspect,
    take_probe,
)
from ledger.connections.pausing import AsItIs, pause, resume
from ledger.connections.polls import (
    CursorRow,
    Poll,
    begin_poll,
    cursors,
    end_poll,
    fail_poll,
    keep_poll,
    leave_poll,
    move_cursor,
)

__all__ = [
    "PERSON",
    "AsItIs",
    "CursorRow",
    "Direction",
    "GateRow",
    "Poll",
    "ask_to_wait",
    "begin_poll",
    "close",
    "count_failure",
    "cursors",
    "end_poll",
    "fail_poll",
    "gate",
    "gates",
    "give_probe_back",
    "is_cleared",
    "keep_poll",
    "leave_poll",
    "move_cursor",
    "open_gate",
    "pause",
    "resume",
    "suspect",
    "take_probe",
]
