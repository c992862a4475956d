"""How a worker stops: its child is told to take on nothing more, ends what it is about, and Celery waits for it."""

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from billiard import active_children
from celery import bootsteps
from celery.worker import state

# From the parent to the child: stop. From the child to the parent: I cannot work, stop. Whoever is not ready to listen
# dies of it, which comes to the same.
_SIGNAL = signal.SIGUSR2
_REQUESTS = (signal.SIGTERM, signal.SIGINT)


def listen_for_stop(stop: Callable[[], None]) -> None:
    """In the child: have `stop` called when the parent says so."""
    signal.signal(_SIGNAL, lambda *_: stop())


def end_worker() -> None:
    """In the child: end the whole worker as failed."""
    os.kill(os.getppid(), _SIGNAL)


class PoliteStop(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """In the parent: the first SIGTERM or SIGINT stops the worker politely, the next at once.

    Celery by itself would wait for a task that knows of nothing and goes on, or kill it after a while.
    """

    # Only then has Celery installed handlers of its own.
    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:  # noqa: ARG002  # Celery gives its worker
        """Install the handlers."""
        for number in (*_REQUESTS, _SIGNAL):
            signal.signal(number, _stop)


def exit_status() -> int:
    """In the parent, once Celery has ended: 1 if the child could not work."""
    return int(state.should_stop or os.EX_OK)


def _stop(number: int, _: Any) -> None:
    for request in _REQUESTS:
        # The kernel then ends the children with their parent.
        signal.signal(request, signal.SIG_DFL)
    for child in active_children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, _SIGNAL)
    # Celery's own way of being told: read between two events.
    state.should_stop = 1 if number == _SIGNAL else os.EX_OK
