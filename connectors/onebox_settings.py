"""The own settings of a connection to a OneBox CRM."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from marshmallow import fields

from connectors.own_settings import (
    Network,
    Networks,
    Remote,
    RemoteSchema,
    Secrets,
    one_of,
    required,
    secret,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBoxSettings(Remote):
    """The ids are the box's own. `hook_secrets` are those in the addresses of its hook, `hook_hmac_key` signs
    its calls, `hook_addresses` may make them; none: any.
    """

    login: str
    password: str = field(repr=False)
    workflow_id: str
    status_id: str
    source_id: str | None
    password_form: Literal["raw", "md5", "auto"]
    body_shape: Literal["object", "array"]
    hook_secrets: tuple[str, ...] = field(repr=False)
    hook_hmac_key: str | None = field(repr=False)
    hook_addresses: tuple[Network, ...]


class OneBoxSchema(RemoteSchema):
    made = OneBoxSettings

    login = required()
    password = secret()
    workflow_id = required("1")
    status_id = required("1")
    source_id = fields.String(load_default=None)
    password_form = one_of("auto", "raw", "md5")
    body_shape = one_of("object", "array")
    hook_secrets = Secrets(load_default=(), metadata={"secret": True})
    hook_hmac_key = fields.String(load_default=None, metadata={"secret": True})
    hook_addresses = Networks(load_default=())
