"""Faults on demand: which calls go wrong, how, and whether they take effect all the same.

Change it to add a kind of fault; how it is played out on the wire is in server.py.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Literal, get_args

Kind = Literal[
    "latency",
    "status",
    "restatus",
    "drop",
    "hang",
    "garbled",
    "cut",
    "html",
    "empty",
    "drip",
    "kill_tokens",
    "refuse",
    "down",
    "mix",
]
Effect = Literal["none", "applied", "late"]
ADDS_TO_OTHERS = frozenset({"latency", "kill_tokens"})
SPOILS_THE_ANSWER = frozenset({"garbled", "cut", "drip", "restatus"})


@dataclass(slots=True)
class Fault:
    """One rule: calls whose path matches go wrong with `probability`, at most `times` times.

    kind, what the client sees:
      latency      the answer comes `seconds` later (between `seconds` and `up_to`)
      status       `status` with `body` (JSON, or text sent as HTML) and `retry_after` seconds
      restatus     the real answer with the status `status`
      drop         the connection is closed without an answer
      hang         no answer until the client goes away
      garbled      200 and JSON that is broken
      cut          the headers promise more than is sent
      html, empty  200 with an HTML page, 200 with no body
      drip         the real answer, byte by byte over `seconds`
      kill_tokens  all tokens die before the call is looked at
      refuse       the remote's own refusal with the text `body`
      down         connections are refused for `seconds`; this call is dropped
      mix          one of `choices` (weight, fault) by chance
    effect, what the remote does: none; applied before the answer; late, `seconds` afterwards.
    Unsaid it is "applied" for garbled, cut, drip and restatus, which spoil the real answer, else "none".
    ids: only calls that carry one of these external or order ids.
    Raises ValueError for names or numbers that make no sense.
    """

    kind: Kind
    path: str = "*"
    effect: Effect | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    up_to: float = 0.0
    status: int = 500
    body: Any = None
    retry_after: int | None = None
    ids: tuple[str, ...] = ()
    choices: tuple[tuple[float, "Fault"], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind of fault: {self.kind}")
        if self.effect is None:
            self.effect = "applied" if self.kind in SPOILS_THE_ANSWER else "none"
        if self.effect not in get_args(Effect):
            raise ValueError(f"unknown effect: {self.effect}")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability is a number from 0 to 1")
        if self.kind == "mix" and not self.choices:
            raise ValueError("a mix needs choices: [[weight, fault], ...]")
        if self.kind == "down" and self.seconds <= 0:
            raise ValueError("down needs seconds, or nobody could call it up again")
        self.ids = tuple(self.ids)


def fault_from(raw: Any) -> Fault:
    """A fault from JSON of the control door; kind "everything" stands for the whole mix.

    Raises ValueError that names what is wrong, TypeError for a parameter `everything` has not.
    """
    if not isinstance(raw, dict):
        raise ValueError("a fault is a JSON object")  # noqa: TRY004  one error type for the door
    if raw.get("kind") == "everything":
        return everything(**{name: value for name, value in raw.items() if name != "kind"})
    known = {field_.name for field_ in fields(Fault)}
    if unknown := sorted(set(raw) - known):
        raise ValueError(f"unknown fields: {', '.join(unknown)}")
    if "kind" not in raw:
        raise ValueError("a fault needs a kind")
    choices = tuple((float(weight), fault_from(one)) for weight, one in raw.get("choices", ()))
    return Fault(**{**raw, "choices": choices, "ids": tuple(raw.get("ids", ()))})


@dataclass(slots=True)
class Plan:
    """What shall happen to one call: an outcome (None: the honest one) and what adds to it."""

    latency: float = 0.0
    kill_tokens: bool = False
    outcome: Fault | None = None


HONEST = Plan()


@dataclass
class Faults:
    """The rules in force, and the dice.

    Latencies add up; of the outcomes the first rule that hits decides. Rules may be added and
    taken away from any thread while calls go on.
    """

    rules: list[Fault] = field(default_factory=list)
    dice: random.Random = field(default_factory=random.Random)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, *rules: Fault) -> None:
        with self._lock:
            self.rules = [*self.rules, *rules]

    def first(self, rule: Fault) -> None:
        """As `add`, before all others: of the outcomes the first rule that hits decides."""
        with self._lock:
            self.rules = [rule, *self.rules]

    def remove(self, rule: Fault) -> None:
        """Take this very rule away, whatever others there are."""
        with self._lock:
            self.rules = [one for one in self.rules if one is not rule]

    def reset(self) -> None:
        with self._lock:
            self.rules = []

    def seed(self, number: int) -> None:
        """The same calls in the same order meet the same faults again."""
        self.dice = random.Random(number)

    def plan(self, path: str, ids: Callable[[], set[str]]) -> Plan:
        """Throw the dice for one call; `ids` is only asked when a rule needs it."""
        if not self.rules:
            return HONEST
        plan = Plan()
        with self._lock:
            for rule in self.rules:
                if rule.kind not in ADDS_TO_OTHERS and plan.outcome is not None:
                    continue
                if fnmatchcase(path, rule.path) and self._hits(rule, ids):
                    self._apply(rule, plan, ids)
        return plan

    def listed(self) -> list[dict[str, Any]]:
        """The rules in force, for people; what is left of `times` included."""
        return [
            {"kind": rule.kind, "path": rule.path, "effect": rule.effect, "times": rule.times}
            for rule in self.rules
        ]

    def _hits(self, rule: Fault, ids: Callable[[], set[str]]) -> bool:
        if rule.times is not None and rule.times <= 0:
            return False
        if rule.ids and ids().isdisjoint(rule.ids):
            return False
        if rule.probability < 1 and self.dice.random() >= rule.probability:
            return False
        if rule.times is not None:
            rule.times -= 1
        return True

    def _apply(self, rule: Fault, plan: Plan, ids: Callable[[], set[str]]) -> None:
        if rule.kind == "mix":
            weights = [weight for weight, _ in rule.choices]
            (_, chosen) = self.dice.choices(rule.choices, weights)[0]
            if self._hits(chosen, ids):
                self._apply(chosen, plan, ids)
        elif rule.kind == "latency":
            plan.latency += self.dice.uniform(rule.seconds, max(rule.seconds, rule.up_to))
        elif rule.kind == "kill_tokens":
            plan.kill_tokens = True
        else:
            plan.outcome = rule


def everything(
    path: str = "*", *, probability: float = 0.5, late: float = 0.2, down: float = 0.0
) -> Fault:
    """All ways to fail at once: a weighted mix of every kind that can be honestly survived.

    `late` is the seconds after which a call without an answer takes effect; with `down` over 0
    the remote now and then refuses connections for so many seconds.
    """
    choices: Iterable[tuple[float, Fault]] = (
        (3, Fault("drop")),
        (3, Fault("drop", effect="applied")),
        (2, Fault("drop", effect="late", seconds=late)),
        (2, Fault("status", status=500)),
        (3, Fault("status", status=500, effect="applied")),
        (2, Fault("status", status=502, body="<html>Bad Gateway</html>", effect="applied")),
        (2, Fault("status", status=503)),
        (2, Fault("status", status=429, retry_after=1)),
        (2, Fault("garbled", effect="applied")),
        (2, Fault("cut", effect="applied")),
        (1, Fault("html")),
        (2, Fault("html", effect="applied")),
        (2, Fault("empty", effect="applied")),
        (2, Fault("kill_tokens")),
        (2, Fault("latency", seconds=0.0, up_to=0.2)),
        (1, Fault("hang", effect="applied")),
        (1, Fault("hang", effect="late", seconds=late)),
        *(((0.2, Fault("down", seconds=down)),) if down > 0 else ()),
    )
    return Fault("mix", path=path, probability=probability, choices=tuple(choices))


def turned_away(probability: float, path: str = "*") -> Fault:
    """What a firewall or a moved address answers now and then in place of the remote: 403, 404, 302."""
    answers = (Fault("status", status=status, body="<html>-</html>") for status in (403, 404, 302))
    choices = tuple((1.0, answer) for answer in answers)
    return Fault("mix", path=path, probability=probability, choices=choices)
