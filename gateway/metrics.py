"""What Prometheus is told: `/metrics`, computed from ledger and Redis when it asks.

The workers are other processes, so nothing is counted here; ledger/measures.py says what is measured. A store
that is away is told as `orderbridge_up 0` and its figures are left out. Names of metrics are an interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gateway.doors import Door
from gateway.keys import everyone
from ledger import connections, measures
from ledger.faults import LedgerUnavailable
from ledger.measures import Lane, Measures
from tasks.resources import Resources

QUEUES = ("fetch", "create", "updates", "ocp", "upkeep")

blueprint = Blueprint("metrics", __name__)


def door(_: Resources) -> Door:
    """The door of metrics: open, and never counted."""
    return Door(blueprint=blueprint, below=("/metrics",), authenticate=everyone)


@blueprint.get("/metrics")
def metrics() -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(current_app.config["RESOURCES"]))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """Everything that is measured, once."""

    def __init__(self, r: Resources) -> None:
        self._r = r

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("orderbridge_up", "1 when the store answers.", labels=["store"])
        for store, read, away in (
            ("ledger", _of_ledger, LedgerUnavailable),
            ("redis", _of_redis, RedisError),
        ):
            try:
                figures = read(self._r)
            except away:
                up.add_metric([store], 0)
            else:
                up.add_metric([store], 1)
                yield from figures
        yield up


def _of_redis(r: Resources) -> list[Metric]:
    lengths = GaugeMetricFamily(
        "orderbridge_queue_length", "Messages that wait for a worker.", labels=["queue"]
    )
    with r.redis.pipeline(transaction=False) as pipeline:
        for queue in QUEUES:
            pipeline.llen(queue)
        for queue, length in zip(QUEUES, pipeline.execute(), strict=True):
            lengths.add_metric([queue], length)
    return [lengths]


def _of_ledger(r: Resources) -> list[Metric]:
    now = datetime.now(UTC)
    found = measures.measure(r.ledger, now)
    return [
        _counts("orderbridge_orders", "Orders by state.", found.orders.rows),
        _counts("orderbridge_updates", "Updates by state.", found.updates.rows),
        _counted_at(found),
        _age("orderbridge_orders", "order", found.oldest_order_due_at, now),
        _age("orderbridge_updates", "queue of updates", found.oldest_update_due_at, now),
        _hooks(found.hooks),
        *_attempts(found.lanes),
        *_shops(r),
        _gates(r),
    ]


def _counts(name: str, text: str, counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state, count in counts.items():
        family.add_metric([state], count)
    return family


def _counted_at(found: Measures) -> Metric:
    text = "Unix time as of which the counts by state are right: now, unless there are too many to count."
    family = GaugeMetricFamily("orderbridge_counted_timestamp_seconds", text, labels=["of"])
    family.add_metric(["orders"], found.orders.at.timestamp())
    family.add_metric(["updates"], found.updates.at.timestamp())
    return family


def _age(name: str, what: str, since: datetime | None, now: datetime) -> Metric:
    seconds = (now - since).total_seconds() if since is not None else 0.0
    text = f"For how long the oldest {what} that is due has been so; 0: none is."
    return GaugeMetricFamily(f"{name}_oldest_due_seconds", text, value=seconds)


def _hooks(outcomes: dict[str, int]) -> Metric:
    text = "Hook calls of the CRMs in the last hour, by what came of them."
    family = GaugeMetricFamily("orderbridge_hook_calls_last_hour", text, labels=["outcome"])
    for outcome, count in outcomes.items():
        family.add_metric([outcome], count)
    return family


def _attempts(lanes: dict[str, Lane]) -> list[Metric]:
    # Gauges, since an hour's count falls as well as rises: rate() of them would mean nothing.
    prefix = "orderbridge_attempts_last_hour"
    labels = ["lane"]
    count = GaugeMetricFamily(prefix, "Calls in the last hour.", labels=[*labels, "outcome"])
    total = GaugeMetricFamily(
        f"{prefix}_seconds_sum", "Seconds that those calls took together.", labels=labels
    )
    latency = GaugeMetricFamily(
        f"{prefix}_seconds",
        f"How long the newest of those calls took, {measures.SAMPLE} at most.",
        labels=[*labels, "quantile"],
    )
    for name, lane in lanes.items():
        for outcome, number in lane.outcomes.items():
            count.add_metric([name, outcome], number)
        total.add_metric([name], lane.seconds)
        for quantile, seconds in lane.quantiles.items():
            latency.add_metric([name, quantile], seconds)
    return [count, total, latency]


def _shops(r: Resources) -> list[Metric]:
    polled = GaugeMetricFamily(
        "orderbridge_last_poll_timestamp_seconds",
        "When the shop was last read with success, Unix time.",
        labels=["connection"],
    )
    for row in connections.cursors(r.ledger):
        if row.polled_at is not None:
            polled.add_metric([row.connection], row.polled_at.timestamp())
    return [polled]


def _gates(r: Resources) -> Metric:
    text = "1 when calls to the remote are held back, by whom: breaker, fault or person."
    family = GaugeMetricFamily(
        "orderbridge_gate_closed", text, labels=["connection", "direction", "by"]
    )
    for row in connections.gates(r.ledger):
        family.add_metric(
            [row.connection, row.direction, row.closed_by or ""], int(row.closed_by is not None)
        )
    return family
