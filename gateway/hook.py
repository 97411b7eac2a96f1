"""The door for OneBox process actions: `POST /hooks/onebox/{secret}`, a doorbell.

In: a form or JSON with a process's fields. Out: 200 as soon as the call is in the ledger, raw; a worker acts
on it. The secret is in the path (several are valid, for rotation); a signature and an address list may be
demanded too. A wrong secret is answered like any unknown address. Source: docs/onebox-action.md.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from gateway.body import read_fields
from gateway.doors import Door
from gateway.errors import SENTENCES, Refusal
from gateway.keys import Keyring
from mapping.hook import HookResult
from settings import Settings
from tasks.accepting import take_hook
from tasks.resources import Resources

# The hook serves the default pair; a second one gets an address of its own when it comes.
CONNECTION = "okliving"
CALLER = "onebox-hook"


# Bytes: many times the longest call.
LARGEST = 64 * 1024


def door(r: Resources) -> Door:
    """The door of the hook, over these settings."""
    blueprint = Blueprint("hook", __name__)
    keyring = Keyring({str(place): secret for place, secret in enumerate(r.settings.hook_secrets)})

    def admit() -> str:
        if keyring.owner((request.view_args or {})["secret"]) is None:
            raise Refusal(404, SENTENCES[404])
        return CALLER

    @blueprint.post("/hooks/onebox/<secret>")
    def take_in(secret: str) -> Response:  # noqa: ARG001  looked at before
        # After the rate was counted: who knows the secret may not make us compute for nothing either.
        _demand_address(r.settings)
        _demand_signature(r.settings)
        return jsonify(_taken(current_app.config["RESOURCES"], read_fields()))

    return Door(
        blueprint=blueprint,
        below=("/hooks/onebox",),
        largest=LARGEST,
        authenticate=admit,
        rate="hook",
    )


def _taken(r: Resources, fields: dict[str, str]) -> dict[str, Any]:
    if not fields:
        raise Refusal(400, "The call has no fields.")
    take_hook(r, CONNECTION, dict(fields), current_app.config["BELL"].ring_hook)
    profile = r.profiles.get(CONNECTION)
    if profile is not None and _says_nothing(profile.hook_update(fields)):
        return {"accepted": True, "result": "nothing to do"}
    return {"accepted": True}


def _says_nothing(found: HookResult) -> bool:
    """Whether no worker can make anything of it. One with the CRM's process id alone can look that up."""
    if found.nothing_to_do == "no_order":
        return found.process_id is None
    return found.nothing_to_do is not None


def _demand_address(chosen: Settings) -> None:
    if not chosen.hook_addresses:
        return
    caller = ipaddress.ip_address(request.remote_addr or "0.0.0.0")  # noqa: S104  no address at all is in no list
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    if not any(caller in network for network in chosen.hook_addresses):
        raise Refusal(403, "This address may not call the hook (ONEBOX_HOOK_ADDRESSES).")


def _demand_signature(chosen: Settings) -> None:
    if chosen.hook_hmac_key is None:
        return
    # Read before the form is: the signature is over the bytes as they came.
    body = request.get_data(cache=True, parse_form_data=False)
    digest = hmac.new(chosen.hook_hmac_key.encode(), body, hashlib.sha256).hexdigest()
    given = request.headers.get("X-Signature", "")
    if not hmac.compare_digest(f"sha256={digest}".encode(), given.encode()):
        raise Refusal(
            403, "The signature (X-Signature: sha256=HEX of the body) is missing or wrong."
        )
