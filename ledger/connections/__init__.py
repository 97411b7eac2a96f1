"""What the ledger knows of a connection: how far it was read, and whether its gates are open."""

from ledger.connections.gating import (
    Direction,
    GateRow,
    ask_to_wait,
    close,
    count_failure,
    gate,
    gates,
    give_probe_back,
    is_cleared,
    open_gate,
    suspect,
    take_probe,
)
from ledger.connections.polls import (
    CursorRow,
    Poll,
    begin_poll,
    cursors,
    end_poll,
    fail_poll,
    keep_poll,
    move_cursor,
)

__all__ = [
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
    "move_cursor",
    "open_gate",
    "suspect",
    "take_probe",
]
