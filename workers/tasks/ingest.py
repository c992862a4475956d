"""The tasks, and the child they run in."""

import sys
from typing import Any

from celery import shared_task
from celery.signals import worker_process_init, worker_process_shutdown

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.errors import JobNotFound, PixvecError, Unavailable
from pixvec.jobs.celery_app import INGEST_TASK, PLAN_TASK, TRAIN_TASK
from pixvec.settings import WorkerSettings, read_settings
from pixvec.telemetry.logging import get_logger
from workers.child import Child, start_child
from workers.plan import plan_job
from workers.stopping import end_worker

log = get_logger(__name__)

# Celery gives a task nothing but its arguments: the one place in pixvec where a process keeps a global.
_child: list[Child] = []


@worker_process_init.connect(weak=False)
def start(**_: Any) -> None:
    """Start the child's parts once Celery has made the process. A child that cannot ends the worker, to be started
    anew: Celery would keep it, and give it work that it cannot do."""
    try:
        _child.append(start_child(read_settings(WorkerSettings)))
    except Exception as error:  # whatever it is, Celery would go on as if nothing had happened
        foreseen = isinstance(error, PixvecError | OSError)
        log.error("model_host_failed", error=str(error), exc_info=not foreseen)
        end_worker()
        sys.exit(1)


@worker_process_shutdown.connect(weak=False)
def close(**_: Any) -> None:
    """Let calls under way end."""
    for child in _child:
        child.close()


@shared_task(name=INGEST_TASK)
def ingest_chunk(job_id: str, chunk: int) -> None:
    """Take a chunk in. What an outage interrupts is published again by the sweeper."""
    try:
        _child[0].runner.run(ChunkRef(job_id, chunk))
    except (Unavailable, JobNotFound) as error:
        log.warning("chunk_interrupted", job=job_id, chunk=chunk, error=error.message)


@shared_task(name=PLAN_TASK)
def plan(job_id: str) -> None:
    """List a job's pictures."""
    child = _child[0]
    try:
        plan_job(job_id, child.catalogue.jobs, child.sources, child.queue, lambda: child.runner.stopping)
    except (Unavailable, JobNotFound) as error:
        log.warning("plan_interrupted", job=job_id, error=error.message)


@shared_task(name=TRAIN_TASK)
def train(job_id: str) -> None:
    """Fit what a training asks for. What an outage interrupts is published again by the sweeper."""
    try:
        _child[0].trainer.run(job_id)
    except (Unavailable, JobNotFound) as error:
        log.warning("training_interrupted", job=job_id, error=error.message)
