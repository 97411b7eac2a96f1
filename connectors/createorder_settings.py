"""The own settings of a connection by which orders are placed with us, or by us with a service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from marshmallow import fields

from connectors.own_settings import (
    Remote,
    RemoteSchema,
    count,
    one_of,
    per_second,
    required,
    seconds,
    yes_or_no,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOrderSettings(Remote):
    """`url`, `tenant` and `token` are those of a service with which orders are placed, the first two empty
    where there is none; `honours_idempotency`: the service makes no second order of a repeat.
    `error_status` is how the door for orders answers what it refuses: by its HTTP status too, or with 200.
    """

    tenant: str
    token: str | None = field(repr=False)
    honours_idempotency: bool
    error_status: Literal["http", "ok"]


class CreateOrderSchema(RemoteSchema):
    made = CreateOrderSettings

    url = fields.String(load_default="")
    # Seconds: a receiver answers at once, or is told again later.
    timeout = seconds(10)
    tenant = fields.String(load_default="", metadata={"sandbox": "sandbox"})
    token = fields.String(load_default=None, metadata={"secret": True})
    honours_idempotency = yes_or_no(default=False)
    error_status = one_of("http", "ok")
    rate = per_second(10)
    concurrency = count(8)


class ServiceSchema(CreateOrderSchema):
    """Of a connection without `target`: it receives orders."""

    url = fields.String(
        required=True,
        error_messages={"required": "is missing: what has no target receives orders at its url."},
    )
    tenant = required()
    timeout = seconds(30)
