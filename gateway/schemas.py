"""The answers of the API, as marshmallow schemas; what a caller sends is mapping.updates.UpdateSchema.

In: rows of the ledger. Out: plain JSON; ids are strings, times UTC in ISO 8601. A new field of an answer
belongs here, and never changes the meaning of an old one.
"""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from ledger import orders, updates


class AcceptedSchema(Schema):
    """An update that was taken in: it is in the ledger and will be carried out."""

    id = fields.String(
        required=True, metadata={"description": "Ask for it at /api/v1/updates/{id}."}
    )
    order_id = fields.String(required=True)
    state = fields.String(
        required=True,
        validate=validate.Equal("queued"),
        metadata={"description": "As it was taken in; a repeat with the same key says the same."},
    )
    warnings = fields.List(
        fields.String(),
        metadata={"description": "What is odd about it, in words; absent when nothing is."},
    )


class AskedStatusesSchema(Schema):
    """Actions that were asked for."""

    order = fields.String(allow_none=True)
    delivery = fields.String(allow_none=True)


class FateSchema(Schema):
    """What became of one part of an update, or what is odd about it."""

    part = fields.String(required=True)
    fate = fields.String(required=True)
    code = fields.String(allow_none=True)
    text = fields.String(allow_none=True, metadata={"description": "In words, by Accept-Language."})


class CallSchema(Schema):
    """One call to the shop."""

    parts = fields.String(required=True)
    started_at = fields.AwareDateTime(required=True)
    duration_ms = fields.Integer(required=True)
    outcome = fields.String(required=True)
    status = fields.Integer(allow_none=True, metadata={"description": "The HTTP status, if any."})


class ShownUpdateSchema(Schema):
    """An update as it stands now."""

    id = fields.String(required=True)
    connection = fields.String(required=True)
    order_id = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(updates.STATES))
    reason = fields.String(
        required=True, metadata={"description": "Why, in words, by Accept-Language; may be empty."}
    )
    reason_codes = fields.List(fields.String(), required=True)
    origin = fields.String(required=True, metadata={"description": "The door it came in by."})
    tracking_number = fields.String(allow_none=True)
    statuses = fields.Nested(AskedStatusesSchema, required=True)
    note = fields.String(allow_none=True)
    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={
            "description": "How each part of it stands: left, sent, parked, withdrawn or cancelled."
        },
    )
    left = fields.List(
        fields.String(), required=True, metadata={"description": "Parts that are still to be sent."}
    )
    fates = fields.List(fields.Nested(FateSchema), required=True)
    accepted_at = fields.AwareDateTime(required=True)
    state_at = fields.AwareDateTime(required=True)


class ShownUpdateInFullSchema(ShownUpdateSchema):
    """An update with the calls that were made for it."""

    attempts = fields.List(fields.Nested(CallSchema), required=True)


class ShownOrderSchema(Schema):
    """An order as it stands now, with its newest updates."""

    order_id = fields.String(required=True)
    connection = fields.String(required=True)
    state = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(orders.STATES),
        metadata={
            "description": "null: the ledger knows updates of this order, not the order itself."
        },
    )
    reason = fields.String(
        required=True, metadata={"description": "Why, in words, by Accept-Language; may be empty."}
    )
    reason_codes = fields.List(fields.String(), required=True)
    target = fields.String(required=True, allow_none=True)
    target_id = fields.String(
        required=True, allow_none=True, metadata={"description": "Its id in the CRM."}
    )
    stage = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Where it stands in the CRM, as last heard from there."},
    )
    tracking_number = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Its parcel, as last heard from the CRM."},
    )
    changed = fields.Boolean(
        required=True,
        metadata={
            "description": "Changed in the shop, in what the CRM has of it, after it was created there."
        },
    )
    received_at = fields.AwareDateTime(required=True, allow_none=True)
    state_at = fields.AwareDateTime(required=True, allow_none=True)
    updates = fields.List(fields.Nested(ShownUpdateSchema), required=True)
