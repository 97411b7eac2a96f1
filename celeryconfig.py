"""Celery's own setting names, each one that is not its default with the reason.

The measurements behind the reasons stand in docs/decisions/. Our own settings are in settings.py.
"""

import socket
import ssl

from kombu import Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

import settings as orderbridge
from connectors import registry
from lanes import QUEUES

_settings = orderbridge.current()
registry.check(_settings)

broker_url = _settings.broker
# kombu's own, mended: see there. By the addresses' own schemes, since `broker_transport` would stand in each
# address that is shown, and Flower knows a broker by its scheme.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.broker:Transport"))
if broker_url.startswith("rediss:"):
    broker_use_ssl = {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,  # kombu's default believes any certificate
        "ssl_check_hostname": True,  # one of another host proves nothing
    }
broker_connection_retry_on_startup = True  # a worker may start before its broker
broker_connection_max_retries = None  # the default gives up after some 46 minutes
broker_channel_error_retry = True  # the default ends a worker when Redis is full or read-only
broker_pool_limit = 64  # a producer for every thread of a worker
broker_pool_acquire_timeout = 30  # the default waits for ever for a free producer
broker_transport_options = {
    # Longer than the longest task and the longest countdown, or messages run twice (harmless, but idle).
    "visibility_timeout": _settings.visibility_timeout,
    # The defaults look for lost messages every 100 s only.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "max_connections": 80,
    "socket_connect_timeout": 5,
    # A short one makes acks fail in a stall, and each failed ack loses a prefetch slot for ever.
    "socket_timeout": 60,
    "socket_keepalive": True,
    "socket_keepalive_options": {
        socket.TCP_KEEPIDLE: 30,
        socket.TCP_KEEPINTVL: 10,
        socket.TCP_KEEPCNT: 3,
    },
}

task_serializer = "json"
accept_content = ["json"]
result_serializer = "json"

task_ignore_result = True  # the ledger holds the results; a backend costs a third of the throughput
task_acks_late = True  # a crash gives the message back
task_reject_on_worker_lost = True  # prefork: a killed child gives it back too
task_publish_retry = False  # the ledger decides; a publish that raised may still have happened
worker_prefetch_multiplier = 1  # a worker holds no more than it works on
worker_eta_task_limit = 200  # retries wait in the ledger, not in a worker's memory
worker_hijack_root_logger = False  # structlog writes the lines
worker_cancel_long_running_tasks_on_connection_loss = False  # a call under way is better finished
worker_consumer = "tasks.messages:Consumer"  # Celery's own logs the body of what it does not know
worker_pool = "threads"  # the work is waiting for remote systems; gevent loses messages
worker_concurrency = 20

task_default_queue = "upkeep"
task_create_missing_queues = False  # a misspelt queue is refused instead of filling up unread
# The default exchange: none to declare, nothing to bind. Queue objects, since Flower knows no others.
task_queues = [Queue(name, Exchange(""), routing_key=name) for name in QUEUES]
task_routes = {
    "orders.fetch": {"queue": "fetch"},
    "orders.create": {"queue": "create"},
    "updates.*": {"queue": "updates"},
    "upkeep.*": {"queue": "upkeep"},
}

imports = ("tasks.orders", "tasks.updates", "tasks.upkeep")
timezone = "UTC"
enable_utc = True

beat_schedule = {
    f"fetch {name}": {
        "task": "orders.fetch",
        "schedule": _settings.fetch_interval,
        "kwargs": {"connection": name},
        # A poll that waited past its interval is dropped: the next tick reads the same window.
        "options": {"expires": max(1, _settings.fetch_interval * 0.9)},
    }
    for name in registry.read_names(_settings)
} | {
    "sweep": {
        "task": "upkeep.sweep",
        "schedule": _settings.sweep_interval,
        "options": {"expires": max(1, _settings.sweep_interval * 0.9)},
    },
    "reconcile": {"task": "updates.reconcile", "schedule": 600, "options": {"expires": 540}},
    "pulse": {"task": "upkeep.pulse", "schedule": 5, "options": {"expires": 4}},
    "tell": {"task": "upkeep.tell", "schedule": 60, "options": {"expires": 50}},
    "purge": {"task": "upkeep.purge", "schedule": 86400, "options": {"expires": 3600}},
}
