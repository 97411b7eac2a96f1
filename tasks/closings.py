"""Says in words why a gate of a connection is closed, and how it opens again.

In: a gate's row. Out: sentences in which nothing that a remote said stands, so that they may be shown to
everyone; what it said is the row's `reason`, a person's own words apart. Nothing fails. Called by
tasks/polling and, by desk/gates, by all who show how a connection stands.
"""

from __future__ import annotations

from ledger.connections import GateRow

# How the calls through a gate are called, and whose they are; by what they are stopped.
CALLS = {"write": "writes", "read": "reads"}
WHOSE = {"write": "to", "read": "of"}
STOPPED = {
    "breaker": "are stopped: it does not answer.",
    "fault": "are stopped: it refuses them, whatever the order.",
    "remote": "are stopped: it asked us to wait.",
}


def why(row: GateRow) -> str:
    """What is stopped and why, in a sentence; of a person's pause with the person's own words."""
    calls = _calls(row)
    if not row.is_paused:
        return f"{calls} {STOPPED.get(row.closed_by or '', 'are stopped.')}"
    by = f" by {row.who}" if row.who else ""
    return f"{calls} are paused{by}: {row.reason or 'the reason was purged'}".rstrip(".") + "."


def _calls(row: GateRow) -> str:
    return f"{CALLS[row.direction].capitalize()} {WHOSE[row.direction]} {row.connection}"


def told(row: GateRow) -> str:
    """Both: why it is closed, and how it opens."""
    return f"{why(row)} {how_it_opens(row)}"


def not_paused(row: GateRow) -> str:
    """That no person has paused it, and how it stands."""
    calls = _calls(row)
    return (
        f"{calls} are not paused." if row.closed_by is None else f"No person did this. {told(row)}"
    )


def how_it_opens(row: GateRow) -> str:
    """What a person does about it, if anything."""
    if row.is_paused:
        return f"To go on: `orderbridge resume {row.connection} --{row.direction}`."
    if row.closed_by == "fault":
        return f"To see what it says: `orderbridge check --connection {row.connection}`."
    return "It is tried every few seconds and opens by itself."
