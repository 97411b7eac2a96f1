"""The door for OneBox process actions: `POST /hooks/onebox/{secret}`, a doorbell.

In: a form or JSON with a process's fields. Out: 200 as soon as the call is in the ledger, raw, with the
mistakes that are certain at once; a worker acts on it. The secret in the path says which box calls (several
are valid, for rotation); a signature and an address list may be demanded too. A wrong secret is answered like
any unknown address. Raises SettingsError for a secret that two boxes share. Source: docs/onebox-action.md.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from connections_file import SettingsError
from connectors import registry
from connectors.onebox_doorbell import PATH
from connectors.onebox_settings import OneBoxSettings
from gateway.body import read_fields
from gateway.doors import Door
from gateway.errors import SENTENCES, Refusal
from gateway.keys import Keyring
from gateway.tries import WrongSecret
from ledger.hook_intake import Crowded
from mapping.source import storable
from tasks import judging
from tasks.accepting import take_hook
from tasks.resources import Resources

KIND = "onebox"
CALLER = "onebox-hook"


# Bytes: many times the longest call.
LARGEST = 64 * 1024
# What a caller is told, who knows the secret and nothing else: which orders and shops there are is for those
# who see `orderbridge hooks list`.
MISTAKES = {
    "hook_unfilled": "A placeholder that was not filled: choose the variable in the action.",
    "hook_odd_id": "1 to 64 letters, digits and the signs of an invoice.",
    "hook_not_ours": "No order of ours begins so.",
}
# Seconds, as a header: by then calls of the process have been worked off.
CROWDED_WAIT = "60"


def door(r: Resources) -> Door:
    """The door of the hook, over these settings."""
    blueprint = Blueprint("hook", __name__)
    boxes: dict[str, OneBoxSettings] = {
        name: registry.own_settings(one)
        for name, one in r.settings.connections.items()
        if one.kind == KIND
    }
    keyring, owners = _keyring(r, boxes)

    def admit() -> str:
        if keyring.owner((request.view_args or {})["secret"]) is None:
            raise WrongSecret(404, SENTENCES[404])
        return CALLER

    @blueprint.post(f"{PATH}/<secret>")
    def take_in(secret: str) -> Response:
        box = owners[keyring.owner(secret) or ""]
        # After the rate was counted: who knows the secret may not make us compute for nothing either.
        _demand_address(boxes[box])
        _demand_signature(boxes[box])
        return jsonify(_taken(current_app.config["RESOURCES"], box, read_fields()))

    return Door(
        blueprint=blueprint,
        below=(PATH,),
        largest=LARGEST,
        authenticate=admit,
        rate="hook",
    )


def _keyring(r: Resources, boxes: Mapping[str, OneBoxSettings]) -> tuple[Keyring, dict[str, str]]:
    """All secrets by a name each, and whose they are."""
    secrets: dict[str, str] = {}
    owners: dict[str, str] = {}
    for box, own in boxes.items():
        for place, secret in enumerate(own.hook_secrets):
            if secret in secrets.values():
                raise SettingsError(
                    f"{r.settings.connections[box].where('hook_secrets')}: a secret is there twice. Each "
                    "box needs secrets of its own, since they say which one calls."
                )
            secrets[f"{box} {place}"], owners[f"{box} {place}"] = secret, box
    return Keyring(secrets), owners


def _taken(r: Resources, box: str, fields: dict[str, str]) -> dict[str, Any]:
    if not fields:
        raise Refusal(400, "The call has no fields.")
    fields = storable(fields)
    found = judging.at_door(r, box, fields)
    mistakes = {one.field: [MISTAKES[one.code]] for one in found.mistakes}
    if found.is_refused:
        judging.keep_refused(r, box, fields, found.mistakes)
        raise Refusal(422, "An id of the call is none; see errors.", errors=mistakes)
    try:
        take_hook(r, box, fields, current_app.config["BELL"].ring_hook)
    except Crowded as exc:
        raise Refusal(429, str(exc), headers={"Retry-After": CROWDED_WAIT}) from None
    answer: dict[str, Any] = {"accepted": True}
    if found.is_idle:
        answer["result"] = "nothing to do"
    if mistakes:
        answer["mistakes"] = mistakes
    return answer


def _demand_address(chosen: OneBoxSettings) -> None:
    if not chosen.hook_addresses:
        return
    caller = ipaddress.ip_address(request.remote_addr or "0.0.0.0")  # noqa: S104  no address at all is in no list
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    if not any(caller in network for network in chosen.hook_addresses):
        raise Refusal(403, "This address may not call the hook (hook_addresses of the box).")


def _demand_signature(chosen: OneBoxSettings) -> None:
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
