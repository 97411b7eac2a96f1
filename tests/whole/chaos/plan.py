"""What one seed means: the orders, what people say and do, and when which fault comes.

In: a seed, the kind of database, and the faults that are switched on (all, unless one is looked for). Out:
a `Plan`, which is printed before the run and with every failure. Every choice comes from one
random.Random(seed), all of them in the same order whichever faults are on, so that a fault looked at alone
comes as it came with the others. Called by test_whole_chaos.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# Seconds during which faults come; what began by then ends a few seconds later.
LENGTH = 34.0
CLOCK = 200.0
FIRST_ID = 300_000_001
FIRST_LATE, FIRST_WAVE, REFUSED, POISON = 400_000_001, 700_000_001, "800000001", "900000001"

FAULTS = (
    "paging",  # orders are edited after each page that is read
    "clock",  # one worker's clock is ahead
    "rollback",  # the ledger goes back some seconds
    "flush",  # Redis forgets everything
    "refused",  # one order is refused with 403
    "wave",  # some are refused for one reason
    "poison",  # HTTP 500 for one order alone
    "hang",  # the CRM's reads hang
    "silent",  # PostgreSQL is frozen; SQLite is locked
    "full",  # Redis takes no more
    "kill",  # workers are killed
    "stages",  # clerks move processes on, and back to a stage where they were
    "lost",  # any call may fail, with effect or without, at once or late
)
BACK_AND_FORTH = (
    ("In work", "Refused", "In work"),
    ("In work", "Refused", "In work", "Shipped", "Done"),
    ("In work", "Refused", "In work", "Refused"),
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens `at` a second of the run, for `seconds`, to `whom`."""

    at: float
    what: str
    seconds: float = 0.0
    whom: str = ""


@dataclass(slots=True)
class Plan:
    """The run that a seed means. `told` and `silent` are processes and the stages they go through, with a
    call of the hook or without; `posted` are orders for which another system sends updates.
    """

    seed: int
    database: str
    faults: frozenset[str]
    orders: int
    page: int
    lost: float
    edits: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)
    silent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)
    wave: list[str] = field(default_factory=list)

    @property
    def may_be_refused(self) -> set[str]:
        """The orders that need not come into the CRM: a person may see them instead."""
        named = {"refused": {REFUSED}, "poison": {POISON}, "wave": set(self.wave)}
        return {
            order for fault, orders in named.items() if fault in self.faults for order in orders
        }

    def __str__(self) -> str:
        """The faults one by one, the rest by its numbers: all of it follows from the seed."""
        lines = [
            f"chaos: seed {self.seed} on {self.database}, {self.orders} orders on pages of {self.page}",
            f"faults {', '.join(sorted(self.faults))}; lost {self.lost:.3f}; edits {self.edits}",
            *(
                f"{event.at:6.1f}  {event.what} for {event.seconds:.1f} s"
                for event in self._of_faults()
            ),
            f"told {self.told}",
            f"silent {self.silent}",
            f"posted {self.posted}",
            f"edited {[event.whom for event in self.events if event.what == 'edit']}",
            f"may be refused {sorted(self.may_be_refused)}",
        ]
        return "\n".join(lines)

    def _of_faults(self) -> list[Event]:
        return [event for event in self.events if event.what in FAULTS]


def draw(seed: int, database: str, only: frozenset[str] = frozenset()) -> Plan:
    dice = random.Random(seed)
    plan = Plan(
        seed=seed,
        database=database,
        faults=frozenset(FAULTS),
        orders=dice.randint(120, 160),
        page=dice.choice((8, 10, 12)),
        lost=dice.uniform(0.03, 0.1),
    )
    # How many orders are edited after each of the first pages, and of some later on.
    plan.edits = [dice.choice((0, 1, 1, 2, 3)) for _ in range(25)]
    _draw_people(plan, dice)
    _draw_shop(plan, dice)
    _draw_stores(plan, dice)
    _draw_others(plan, dice)
    # With Redis's memory gone too, nobody can notice that the ledger went back.
    plan.faults = frozenset(FAULTS) - {dice.choice(("flush", "rollback"))}
    if database == "sqlite":
        # A file's workers are on one host, and so have one clock. Named alone, the fault comes all the same.
        plan.faults -= {"clock"}
    plan.faults = only or plan.faults
    _keep_what_is_on(plan)
    return plan


def _draw_people(plan: Plan, dice: random.Random) -> None:
    ids = [str(FIRST_ID + number) for number in range(plan.orders)]
    chosen = dice.sample(ids, 18)
    ways = [dice.choice(BACK_AND_FORTH) for _ in range(10)]
    plan.told = dict(zip(chosen[:6], ways[:6], strict=True))
    plan.silent = dict(zip(chosen[6:10], ways[6:], strict=True))
    plan.posted = chosen[10:]
    plan.wave = [str(FIRST_WAVE + number) for number in range(dice.randint(8, 14))]


def _draw_shop(plan: Plan, dice: random.Random) -> None:
    """Orders that come later, and buyers who change their mind, half of them soon after they ordered."""
    said_of = {*plan.told, *plan.silent, *plan.posted}
    early = [str(FIRST_ID + number) for number in range(plan.orders)]
    for number in range(dice.randint(40, 60)):
        order_id, at = str(FIRST_LATE + number), dice.uniform(1, LENGTH - 1)
        plan.events.append(Event(at, "order", whom=order_id))
        if dice.random() < 0.3:
            plan.events.append(Event(at + dice.uniform(0.5, 6), "edit", whom=order_id))
    for order_id in dice.sample([one for one in early if one not in said_of], 15):
        plan.events.append(Event(dice.uniform(0, LENGTH), "edit", whom=order_id))
    plan.events += [Event(dice.uniform(0, 3), "order", whom=one) for one in (REFUSED, POISON)]
    plan.events += [Event(dice.uniform(2, 5), "order", whom=one) for one in plan.wave]


def _draw_stores(plan: Plan, dice: random.Random) -> None:
    """One fault of ledger or Redis after the other: with both gone nobody could remember anything."""
    lengths = {
        "silent": 8.0 if plan.database == "postgresql" else dice.uniform(3, 5),
        "full": dice.uniform(2, 4),
        "rollback": dice.uniform(3, 5),
        "flush": 0.0,
    }
    at = dice.uniform(3, 5)
    for what in dice.sample(sorted(lengths), len(lengths)):
        plan.events.append(Event(at, what, lengths[what]))
        at += lengths[what] + dice.uniform(1.5, 3)


def _draw_others(plan: Plan, dice: random.Random) -> None:
    plan.events.append(Event(dice.uniform(0.5, 8), "clock"))
    plan.events.append(Event(dice.uniform(4, 20), "hang", dice.uniform(5, 9)))
    plan.events += [Event(dice.uniform(3, LENGTH), "kill") for _ in range(dice.randint(1, 2))]


def _keep_what_is_on(plan: Plan) -> None:
    """Leave out what is not looked for; the people and the edits of buyers are always there."""
    plan.events = sorted(
        (e for e in plan.events if e.what not in FAULTS or e.what in plan.faults),
        key=lambda event: event.at,
    )
    if "paging" not in plan.faults:
        plan.edits = []
    if "stages" not in plan.faults:
        plan.told, plan.silent = {}, {}
