"""The own settings of a connection to an OK Living shop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from connectors.own_settings import (
    Remote,
    RemoteSchema,
    count,
    one_of,
    per_second,
    required,
    secret,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OkLivingSettings(Remote):
    """`login_style` is how the login is posted."""

    client_id: str
    client_secret: str = field(repr=False)
    login_style: Literal["form", "json"]


class OkLivingSchema(RemoteSchema):
    made = OkLivingSettings

    client_id = required()
    client_secret = secret()
    rate = per_second(10)
    concurrency = count(8)
    login_style = one_of("form", "json")
