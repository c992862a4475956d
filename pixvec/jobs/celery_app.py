"""The Celery app that publishers and workers share: one place for its settings.

The broker is a hint. Postgres knows what is to be done, so everything here prefers losing a message to waiting for one.
"""

from typing import Any

from celery import Celery

INGEST_TASK = "pixvec.ingest_chunk"
PLAN_TASK = "pixvec.plan_job"
TRAIN_TASK = "pixvec.train"

# A list each, taken in turns, so that a long plan, a long job and a training do not starve each other.
INGEST_QUEUE = "pixvec.ingest"
PLAN_QUEUE = "pixvec.plan"
TRAIN_QUEUE = "pixvec.train"
QUEUES = (INGEST_QUEUE, PLAN_QUEUE, TRAIN_QUEUE)

SOFT_LIMIT_S = 600
HARD_LIMIT_S = 660
# Above the hard limit, so that a message comes back only after its worker is gone.
VISIBILITY_TIMEOUT_S = 900
SOCKET_TIMEOUT_S = 10


def celery_app(broker_url: str) -> Celery:
    """Return an app for `redis://…` or `redis+socket:///path`. Connects to nothing yet."""
    app = Celery("pixvec", broker=broker_url, set_as_current=False)
    app.conf.update(_CONFIGURATION)
    return app


_TRANSPORT: dict[str, Any] = {
    "sep": ":",
    # Queues stand for priorities; without this every queue would be four lists.
    "priority_steps": [0],
    "queue_order_strategy": "round_robin",
    "visibility_timeout": VISIBILITY_TIMEOUT_S,
    "socket_timeout": SOCKET_TIMEOUT_S,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": SOCKET_TIMEOUT_S,
}

_CONFIGURATION: dict[str, Any] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_acks_late": True,
    # On, it loops: a task that kills its worker would come back for ever. Attempts are counted in Postgres.
    "task_reject_on_worker_lost": False,
    "task_soft_time_limit": SOFT_LIMIT_S,
    "task_time_limit": HARD_LIMIT_S,
    "task_default_queue": INGEST_QUEUE,
    "task_routes": {
        INGEST_TASK: {"queue": INGEST_QUEUE},
        PLAN_TASK: {"queue": PLAN_QUEUE},
        TRAIN_TASK: {"queue": TRAIN_QUEUE},
    },
    # The publisher's caller decides what to do next, and the sweeper sends again: no long retries here.
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1},
    "broker_connection_timeout": 3,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_transport_options": _TRANSPORT,
    "worker_pool": "prefork",
    "worker_pool_start_method": "spawn",
    "worker_concurrency": 1,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # A child imports models and connects to the database before it reports for work.
    "worker_proc_alive_timeout": 120,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}
