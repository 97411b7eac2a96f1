"""Why an order that was posted is not placed, as a refusal with one of the interface's codes.

In: what the ledger refused. Out: a `Refusal` that names the fields and says what to do. Nothing fails. Called
by gateway/createorder.py; the page gateway/createorder_docs.py has its table of codes from here. Source:
docs/contracts/createorder.md, "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import Refusal
from gateway.idempotency import HEADER
from ledger.tenants import Refused
from plain_text import line

VALIDATION, ACCOUNT, ADDRESS, CATALOG, TENANT, INTERNAL = 1, 2, 3, 4, 5, 9
CODES = {
    VALIDATION: "The request is not as it must be; nobody can carry it out as it is.",
    ACCOUNT: "The account was not found, or several fit, or what a new one needs is missing.",
    ADDRESS: "The address is none of the account's, or it must be said which one is meant.",
    CATALOG: "The tenant's catalog has no such position.",
    TENANT: "There is no such tenant for this key, or the key is not for orders.",
    INTERNAL: "Not now: too many requests, or a fault of ours. Send it again.",
}
# Seconds: where a tenant's orders go somebody must configure.
ROUTE_RETRY = "60"
NO_SUCH_TENANT = (
    "There is no such tenant for this key. Check the name, or have a key made that is for it."
)


class Denied(Refusal):
    """A refusal that has its own code."""

    def __init__(
        self,
        code: int,
        status: int,
        sentence: str,
        errors: Mapping[str, list[str]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, sentence, errors=errors, headers=headers)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Case:
    """`said` of each field that is to blame, with its path and the value that was given; `fields` are to
    blame where none is named.
    """

    code: int
    said: str
    status: int = 422
    fields: tuple[str, ...] = ("_schema",)


_CASES: dict[str, _Case] = {
    "account_unsaid": _Case(
        ACCOUNT,
        "Say whose order it is: account_id, external_customer_id or customer_name.",
        fields=("account_id", "external_customer_id", "customer_name"),
    ),
    "account_not_found": _Case(ACCOUNT, "No account of this tenant has the {field} {value}."),
    "account_ambiguous": _Case(
        ACCOUNT,
        "Several accounts have the {field} {value}: say account_id or external_customer_id.",
        fields=("customer_name",),
    ),
    "account_incomplete": _Case(
        ACCOUNT,
        "No account was found, and a new one needs customer_name and external_customer_id both.",
        fields=("customer_name", "external_customer_id"),
    ),
    "address_not_found": _Case(
        ADDRESS, "The account has no address {value}.", fields=("account_address_id",)
    ),
    "address_needed": _Case(
        ADDRESS,
        "Say which address of the account is meant: it has several, or none.",
        fields=("account_address_id",),
    ),
    "catalog_not_found": _Case(CATALOG, "The tenant's catalog has no position {value}."),
    "tenant_unknown": _Case(TENANT, NO_SUCH_TENANT, 403, ("tenant",)),
    "tenant_not_routed": _Case(
        TENANT,
        "No connection takes this tenant's orders yet: whoever runs this service must say which one does "
        "(`orderbridge check`).",
        503,
        ("tenant",),
    ),
    "key_reused": _Case(
        VALIDATION, "This key was used before, for another order: take a new one.", 409, (HEADER,)
    ),
    "key_erased": _Case(
        VALIDATION,
        "The order that this key made is so old that its answer is erased. It was created; do not send it "
        "again.",
        410,
        (HEADER,),
    ),
}


def denied(refused: Refused) -> Denied:
    """What the caller is told of this."""
    case = _CASES[refused.reason]
    fields = refused.fields or dict.fromkeys(case.fields, "")
    errors = {
        path: [case.said.format(field=path.rpartition(".")[2], value=line(value))]
        for path, value in fields.items()
    }
    headers = {"Retry-After": ROUTE_RETRY} if case.status == 503 else None
    return Denied(case.code, case.status, "", errors, headers)


def no_such_tenant() -> Denied:
    """The same for a tenant that is not there and for one that is not this key's."""
    return denied(Refused("tenant_unknown"))


def invalid(errors: Mapping[str, list[str]]) -> Denied:
    """The request is not as it must be."""
    return Denied(VALIDATION, 422, "", errors)


def code_of(refusal: Refusal) -> int:
    """The interface's code of any refusal at the door."""
    if isinstance(refusal, Denied):
        return refusal.code
    if refusal.status == 403:
        return TENANT
    return INTERNAL if refusal.status >= 500 or refusal.status == 429 else VALIDATION
