"""Keeps the leases of chunks that are being worked on."""

import threading

from pixvec.catalogue.interfaces import JobStore, LeasedChunk
from pixvec.errors import PixvecError
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


class LeaseKeeper:
    """Renews every lease it is given, three times before each would end, from a thread of its own."""

    def __init__(self, jobs: JobStore, lease_s: float) -> None:
        self._jobs = jobs
        self._lease_s = lease_s
        self._held: dict[tuple[str, int], LeasedChunk] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Renew no more."""
        self._stop.set()
        self._thread.join()

    def hold(self, chunk: LeasedChunk) -> None:
        """Keep this lease from now on."""
        self._held[chunk.ref.job_id, chunk.ref.chunk] = chunk

    def drop(self, chunk: LeasedChunk) -> None:
        """Keep it no longer."""
        self._held.pop((chunk.ref.job_id, chunk.ref.chunk), None)

    def _run(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            for chunk in list(self._held.values()):
                try:
                    self._jobs.renew(chunk.ref, chunk.owner, self._lease_s)
                except PixvecError as error:
                    log.warning("lease_not_renewed", job=chunk.ref.job_id, chunk=chunk.ref.chunk, error=error.message)
