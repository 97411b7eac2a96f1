"""The tables of who was told what, of the ledger. As in ledger/tables, from where they are taken.

A change here needs a migration. No column holds personal data or an address, only masked names and codes.
"""

from __future__ import annotations

from sqlalchemy import Integer, String, Table

from ledger.columns import METADATA, UtcDateTime, may, must

# A channel by which somebody is told what waits for a person, by its masked name: who speaks on it now, from
# when it may be spoken on again, and since when it takes nothing.
CHANNELS = Table(
    "channels",
    METADATA,
    must("name", String(100), primary_key=True),
    must("next_try_at", UtcDateTime),
    may("lease_until", UtcDateTime),
    may("lease_token", String(32)),
    may("told_at", UtcDateTime),
    must("failures", Integer, default=0),
    may("failing_since", UtcDateTime),
    must("error", String(32), default=""),
)

# What a channel was told, and when: `newest` is of what it covered, `ended_at` when that was over.
TELLINGS = Table(
    "tellings",
    METADATA,
    must("channel", String(100), primary_key=True),
    must("subject", String(200), primary_key=True),
    must("newest", UtcDateTime),
    must("told_at", UtcDateTime),
    may("ended_at", UtcDateTime),
)
