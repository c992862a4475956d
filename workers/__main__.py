"""The worker process: Celery's worker with one child, the model host."""

import os
import signal
import sys

# Read when Celery is imported: its child then ignores SIGTERM, which some supervisors send to every process.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

from pixvec.catalogue import postgres
from pixvec.errors import PixvecError
from pixvec.jobs.celery_app import QUEUES
from pixvec.settings import WorkerSettings, read_settings
from pixvec.telemetry.logging import configure_logging, get_logger

log = get_logger(__name__)


def main() -> None:
    """Check the database, then run Celery's worker until it is told to stop."""
    settings = read_settings(WorkerSettings)
    configure_logging("worker", level=settings.log_level, json=settings.log_json)
    try:
        postgres.connect(settings.database_url, pool_size=1).close()
    except PixvecError as error:
        log.error("worker_failed", error=error.message)
        sys.exit(1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    from workers.app import app
    from workers.stopping import exit_status

    app.worker_main(
        [
            "worker",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
            f"--queues={','.join(QUEUES)}",
        ]
    )
    sys.exit(exit_status())


if __name__ == "__main__":
    main()
