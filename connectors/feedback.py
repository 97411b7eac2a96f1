"""The port by which updates go back to a source: what an update consists of there, and what a call teaches.

A connector's feedback says which parts there are, what may go next and what an answer means; leases, order,
age, doubt and parking are the drain's (tasks/draining), which knows no part by name. Everything but `send` is
pure, except that `plan` may ask whom an order's updates are for, and whether a call could be made now.
Implemented by one module a kind of source, called by tasks/accepting and tasks/draining.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar

from clients.errors import Rejected
from mapping.request import Errors, UpdateRequest

# What a connector keeps as known of an order: its own record.
Knowledge = TypeVar("Knowledge")
Fate = Literal["sent", "parked", "withdrawn"]


@dataclass(frozen=True, slots=True)
class PartRule:
    """What the drain must know of a part. `field` is its name in the doors' form; an `ordered` part never
    overtakes such a part that is parked; older than `greatest_age` it waits for a person; `maybe_doubled` is
    what a clerk is told where it may arrive twice.
    """

    field: str
    greatest_age: timedelta
    ordered: bool = False
    maybe_doubled: str | None = None


@dataclass(frozen=True, slots=True)
class Asks:
    """An update as a feedback sees it: the values of all its parts, sent ones too, its options, the code for
    which each parked part is parked, and of which order it is the update of this number.
    """

    values: Mapping[str, Any]
    left: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    parked: Mapping[str, str] = field(default_factory=dict)
    order_id: str = ""
    update_id: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """A part is over: done without a call, or parked; with the code for a clerk."""

    part: str
    fate: Fate
    code: str
    before: str | None = None
    after: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """The next call: the values that it carries by part, and the parts that it completes; none of them for
    a step on the way.
    """

    values: Mapping[str, Any]
    completes: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """All that it is about."""
        return (*self.completes, *(name for name in self.values if name not in self.completes))


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing can go to whom it is for just now: the queue waits as after a failure, with no call noted."""


@dataclass(frozen=True, slots=True)
class Judged(Generic[Knowledge]):
    """What a refusal teaches: what is known now, and the parts that are over by it; with none the update is
    planned anew. `outcome` is how the call is noted.
    """

    known: Knowledge
    ends: tuple[Ends, ...] = ()
    outcome: str = "refused"


class Feedback(Protocol[Knowledge]):
    """How one source takes updates."""

    @property
    def parts(self) -> Mapping[str, PartRule]:
        """All parts, in the order in which they are sent apart."""

    def validate(
        self, raw: Mapping[str, object], *, flat: bool = False
    ) -> tuple[UpdateRequest | None, Errors]:
        """Read an update in the form of the HTTP door, or in the flat one of Celery and the command line:
        it and no errors, or None and the errors by field. Nothing fails.
        """

    def shown(self, part: str, value: Any) -> str | None:
        """What a part asks for, as a clerk is shown it; None for what is not repeated."""

    def takes_over(self, newer: Asks, older: Asks, part: str) -> str | None:
        """The code for a clerk when a newer update ends this part of an older one, which is not sent yet or
        parked.
        """

    def first_known(
        self,
        stored: Mapping[str, Any] | None,
        stored_at: datetime | None,
        seen: tuple[str, datetime | None] | None,
        now: datetime,
    ) -> Knowledge:
        """What is known of the order: what calls taught by `stored_at`, and its text as last read, with the
        source's own time of that.
        """

    def kept(self, known: Knowledge) -> Mapping[str, Any]:
        """What is known as plain JSON, for `first_known`."""

    def plan(
        self,
        asks: Asks,
        sendable: tuple[str, ...],
        known: Knowledge,
        *,
        trust: bool,
        ours: Callable[[str], Collection[Any]],
    ) -> Ends | Send | Later:
        """What is next for the parts of an update that may be sent, at least one. Without `trust` nothing
        that is known spares a call or refuses one. `ours` gives all values that updates of this order
        brought for a part.
        """

    def send(self, order_id: str, send: Send) -> None:
        """Make the call. Raises ClientError."""

    def learned(self, known: Knowledge, send: Send) -> Knowledge:
        """What is known after a call that the source took; the same object when it taught nothing."""

    def doubted(self, known: Knowledge, send: Send | None = None) -> Knowledge:
        """What is known when nobody knows whether this call arrived; None: whether any did."""

    def judged(
        self,
        refused: Rejected,
        asks: Asks,
        send: Send,
        known: Knowledge,
        later: Sequence[Asks] = (),
    ) -> Judged[Knowledge] | None:
        """What a refusal teaches; None for nothing special: then an update of several parts goes on part by
        part, and a part alone is parked. `later` are the updates behind this one that may all have arrived,
        as this one may.
        """


class PlainFeedback(Feedback[None], Protocol):
    """How a source takes updates of whose orders nothing need be known: each part goes once, in order, and
    what is refused is parked. The rest is the kind's own: its parts, what is valid, the call.
    """

    def shown(self, part: str, value: Any) -> str | None:
        return f"{part} {value}"

    def takes_over(self, newer: Asks, older: Asks, part: str) -> str | None:
        return None

    def first_known(self, *_: object) -> None:
        return None

    def kept(self, known: None) -> Mapping[str, Any]:
        return {}

    def plan(
        self,
        asks: Asks,
        sendable: tuple[str, ...],
        known: None,
        *,
        trust: bool,
        ours: Callable[[str], Collection[Any]],
    ) -> Ends | Send:
        return Send({name: asks.values[name] for name in sendable}, sendable)

    def learned(self, known: None, send: Send) -> None:
        return None

    def doubted(self, known: None, send: Send | None = None) -> None:
        return None

    def judged(self, *_: object) -> None:
        return None
