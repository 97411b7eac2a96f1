"""How a source of quite another kind takes updates: they have one part. Used by the toy system, and by the
tests of what drains updates.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.feedback import Ends, PartRule, Send
from mapping.request import UpdateRequest


class ToyFeedback:
    """Takes a number that only ever grows, by `take(order_id, level)`, which may raise as a client does."""

    def __init__(self, take):
        self.take = take
        hour, code = timedelta(hours=1), "update_note_maybe_doubled"
        self.parts = {"level": PartRule("level", hour, ordered=True, maybe_doubled=code)}

    def validate(self, raw, *, flat=False):
        given = dict(raw)
        request = UpdateRequest(
            str(given.pop("order_id", "")),
            {"level": given.pop("level", None)},
            connection=given.pop("connection", None),
            key=given.pop("key", None) if flat else None,
        )
        errors = {name: ["Unknown field."] for name in given}
        if not isinstance(request.parts["level"], int):
            errors["level"] = ["Not a number."]
        return (None, errors) if errors else (request, {})

    def shown(self, part, value):
        return f"{part} {value}"

    def takes_over(self, newer, older, part):
        return "update_replaced" if newer.values[part] == older.values[part] else None

    def first_known(self, stored, stored_at, seen, now):
        return (stored or {}).get("level", 0)

    def kept(self, known):
        return {"level": known}

    def plan(self, asks, sendable, known, *, trust, ours):
        level = asks.values["level"]
        if trust and level <= known:
            return Ends("level", "parked", "update_illegal", detail=f"more than {known}")
        return Send({"level": level}, sendable)

    def send(self, order_id, send):
        self.take(order_id, send.values["level"])

    def learned(self, known, send):
        return send.values["level"]

    def doubted(self, known, send=None):
        return 0

    def judged(self, refused, asks, send, known, later=()):
        return None
