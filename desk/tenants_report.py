"""What a file of tenants comes to: how much is new, changed and the same, and the first changes one by one.

In: differences as the ledger finds them. Out: a `Report`, in the words of the file; a secret is never among
them. Nothing fails. Made by desk/loading, shown by cli/loading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.tenants.comparing import Change

KINDS = ("tenant", "account", "address", "position")
# Changes that are told one by one.
TOLD = 20
# What the columns are called that the file calls otherwise.
WORDS = {
    "zone": "timezone",
    "creates_accounts": "create_account",
    "is_delivered": "deliver",
    "sealed_secret": "callback_secret",
    "is_loaded": "loaded",
}
SECRET = "(secret)"  # noqa: S105  what stands in place of one
_CALLED = {"account": "customer_name", "address": "text", "position": "product_name"}


@dataclass(frozen=True, slots=True)
class Told:
    """One change: where it stands in the file, and what was before and is after, by the file's keys."""

    path: str
    kind: str
    name: str
    is_new: bool
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class Report:
    """`counts` are by kind, then by `new`, `changed` and `same`; `astray` are the tenants whose orders go
    nowhere, since it is not clear by which of the connections in `taking`.
    """

    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {kind: Counter(new=0, changed=0, same=0) for kind in KINDS}
    )
    told: list[Told] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    taking: Sequence[str] = ()

    @property
    def changes(self) -> int:
        return sum(one["new"] + one["changed"] for one in self.counts.values())

    def of_tenant(
        self, path: str, name: str, before: Any, values: Mapping[str, Any], *, is_same: bool
    ) -> None:
        """A tenant of this file: `before` is its row, None where it is new."""
        if is_same:
            self.counts["tenant"]["same"] += 1
            return
        old = {} if before is None else {key: getattr(before, key) for key in values}
        self._note(Told(path, "tenant", name, before is None, _changes(old, values)))

    def of_route(self, name: str, connection: str | None, taking: Sequence[str]) -> None:
        """By which connection a tenant's orders come, where one is said, and which there are."""
        self.taking = taking
        if connection not in taking and (connection is not None or len(taking) != 1):
            self.astray.append(name)

    def of_entries(self, changes: Sequence[Change], same: Mapping[str, int]) -> None:
        """Some of what the file lists of a tenant."""
        for kind, count in same.items():
            self.counts[kind]["same"] += count
        for one in changes:
            name = one.listed.values[_CALLED[one.kind]]
            old = one.before or {}
            after = {key: one.listed.values[key] for key in old}
            is_new = one.before is None
            self._note(Told(one.listed.path, one.kind, name, is_new, _changes(old, after)))

    def _note(self, told: Told) -> None:
        self.counts[told.kind]["new" if told.is_new else "changed"] += 1
        if len(self.told) < TOLD:
            self.told.append(told)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        WORDS.get(key, key): (_shown(key, old), _shown(key, after[key]))
        for key, old in before.items()
    }


def _shown(key: str, value: Any) -> Any:
    return SECRET if key == "sealed_secret" and value is not None else value
