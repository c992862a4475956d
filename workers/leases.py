"""Keeps the leases of chunks that are being worked on."""

import threading

from pixvec.catalogue.interfaces import ChunkRef, JobStore, LeasedChunk
from pixvec.errors import PixvecError
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


class LeaseKeeper:
    """Renews every lease it is given, three times before each would end, from a thread of its own."""

    def __init__(self, jobs: JobStore, lease_s: float) -> None:
        self._jobs = jobs
        self._lease_s = lease_s
        self._held: dict[ChunkRef, LeasedChunk] = {}
        self._lock = threading.Lock()
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
        with self._lock:
            self._held[chunk.ref] = chunk

    def holds(self, chunk: LeasedChunk) -> bool:
        """Whether this lease is being kept: not, once it was dropped or turned out to be lost to another worker."""
        return self._held.get(chunk.ref) is chunk

    def drop(self, chunk: LeasedChunk) -> None:
        """Keep it no longer. A later lease of the same chunk is kept on."""
        with self._lock:
            if self.holds(chunk):
                del self._held[chunk.ref]

    def renew_all(self) -> None:
        """Renew every lease once, dropping those that are lost."""
        for chunk in list(self._held.values()):
            try:
                kept = self._jobs.renew(chunk.ref, chunk.owner, self._lease_s)
            except PixvecError as error:
                log.warning("lease_not_renewed", job=chunk.ref.job_id, chunk=chunk.ref.chunk, error=error.message)
                continue
            if not kept and self.holds(chunk):
                log.warning("lease_lost", job=chunk.ref.job_id, chunk=chunk.ref.chunk)
                self.drop(chunk)

    def _run(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            self.renew_all()
