"""The door for orders that other systems post: `POST /CreateOrder`, in the interface's own envelope.

In: JSON of an authenticated caller. Out: the envelope, with the order as it was placed; it is in the ledger
before. Refuses in the same envelope, with a code and the paths of what is wrong: 400, 403 (a key or a tenant
that is not for it), 404, 405, 409 and 410 (a key used before), 413, 415, 422, 429, 500, 503; all with 200
where the connection says `error_status: ok`. A 401 is the gateway's. Source: docs/contracts/createorder.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b

import structlog
from flask import Blueprint, Response, current_app, g
from flask.typing import ResponseReturnValue

from desk import placing
from gateway import rights
from gateway.body import read_exact_json
from gateway.createorder_refusals import Denied, code_of, denied, invalid, no_such_tenant
from gateway.doors import Door
from gateway.errors import Refusal, as_json
from gateway.idempotency import HEADER, KEY_FORM, BadKey, scoped_key
from gateway.keys import by_key
from ledger.tenants import AskedOrder, AskedPosition, Placed, Refused, Repeated, Tenant
from mapping import createorder, exact_json
from mapping.createorder import OrderRequest
from mapping.createorder_answer import answer_of, error_of, new_ctx_id, said, source_text
from plain_text import escaped
from tasks.resources import Resources

PATH = "/CreateOrder"
# Bytes: of the longest order ten times as much.
LARGEST = 2 * 1024 * 1024
UNSURE = (
    "This went wrong on our side, and whether the order was created is not certain. Send it again with the "
    "same Idempotency-Key: that never makes a second one."
)

blueprint = Blueprint("createorder", __name__)


def door(r: Resources) -> Door:
    """The door of orders."""
    return Door(
        blueprint=blueprint,
        below=(PATH,),
        largest=LARGEST,
        authenticate=by_key(r.settings),
        form=in_envelope,
        rate="createorder",
    )


@blueprint.route(PATH, methods=["POST"], provide_automatic_options=False)
def take_in() -> Response:
    """Place an order. With the scope `orders:write`."""
    rights.demand("orders:write")
    g.asked = read_exact_json()
    asked, errors = createorder.read(g.asked)
    try:
        key = scoped_key()
    except BadKey:
        errors |= {HEADER: [KEY_FORM]}
    if asked is None or errors:
        raise invalid(errors)
    if not (rights.may_place_for(asked.tenant) and rights.may_place()):
        raise no_such_tenant()
    return _json(answer_of(_placed(current_app.config["RESOURCES"], asked, key)))


def _placed(r: Resources, asked: OrderRequest, key: str | None) -> str:
    """The source's text of the order, which is in the ledger."""
    now, ctx_id = r.ledger.now(), new_ctx_id()
    texts: dict[int, str] = {}

    def text(placed: Placed) -> str:
        # Raising here places nothing.
        errors = createorder.times_that_are_not(asked, placed.tenant.zone, now)
        if errors := errors | createorder.beyond_all_amounts(placed.total):
            raise invalid(errors)
        texts[placed.order_id] = source_text(asked, placed, now=now, ctx_id=ctx_id)
        return texts[placed.order_id]

    ring = current_app.config["BELL"].ring_orders
    came = placing.place(
        r, _as_asked(asked, key), text, now=now, ring=ring, admit=partial(_admit, r)
    )
    if isinstance(came, Refused):
        raise denied(came)
    if isinstance(came, Repeated):
        return came.source
    structlog.contextvars.bind_contextvars(ctx_id=ctx_id)
    return texts[came.order_id]


def _admit(r: Resources, tenant: Tenant) -> None:
    """Refuse a tenant whose row says that it is not the key's, as one that is not there."""
    takers = [tenant.connection] if tenant.connection else rights.placing_names(r)
    if not (rights.may_place_for(tenant.name) and any(map(g.key.is_for, takers))):
        raise no_such_tenant()


def _as_asked(asked: OrderRequest, key: str | None) -> AskedOrder:
    said_of_all = exact_json.write(asked.raw, sort_keys=True)
    return AskedOrder(
        tenant=asked.tenant,
        account_id=asked.account_id,
        external_customer_id=asked.external_customer_id,
        customer_name=asked.customer_name,
        creates_account=asked.create_account,
        account_address_id=asked.account_address_id,
        address_text=asked.address_text,
        order_type=asked.order_type,
        order_status=asked.order_status,
        positions=tuple(
            AskedPosition(
                catalog_position_id=one.catalog_position_id,
                product_name=one.product_name,
                price=one.price,
                quantity=one.quantity,
                unit=one.unit,
                position_type=one.position_type,
                product_code=one.product_code,
            )
            for one in asked.order_positions
        ),
        key=key,
        digest=blake2b(said_of_all.encode(), digest_size=16).hexdigest(),
    )


# --- the envelope -------------------------------------------------------------------------------------


def in_envelope(refusal: Refusal) -> ResponseReturnValue:
    """The form of errors here; who calls is said by the gateway."""
    if refusal.status == 401:
        return as_json(refusal)
    answer, ctx_id = told_of(refusal, g.get("asked"), now=datetime.now(UTC))
    structlog.contextvars.bind_contextvars(ctx_id=ctx_id)
    response = _json(answer)
    response.status_code = 200 if _errors_are_ok() else refusal.status
    return response


def told_of(refusal: Refusal, asked: object, *, now: datetime) -> tuple[str, str]:
    """The envelope of a refusal and its ctx_id; `asked` is what came, if that is known."""
    errors = dict(refusal.errors or {})
    return error_of(_sentence(refusal, errors), code_of(refusal), errors, asked, now=now)


def _sentence(refusal: Refusal, errors: dict[str, list[str]]) -> str:
    if refusal.status >= 500 and not isinstance(refusal, Denied):
        return UNSURE
    return f"Order is not created. {refusal.sentence or said(errors)}"


def _errors_are_ok() -> bool:
    """Whether errors have the status 200: so say all connections that take such orders. Whose order a faulty
    one is, is not known.
    """
    r: Resources = current_app.config["RESOURCES"]
    said_by = {
        getattr(r.sources[name].settings, "error_status", "http")
        for name in rights.placing_names(r)
    }
    return said_by == {"ok"}


def _json(text: str) -> Response:
    return Response(escaped(text), mimetype="application/json")
