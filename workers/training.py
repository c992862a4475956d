"""Trainings: leased, fitted, tried out, kept. A worker that is lost midway leaves nothing behind: the next one begins
anew, with the same sample."""

import datetime as dt
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.attempts import is_last, pause_s
from pixvec.catalogue.trainings import LeasedTraining, TrainingStore
from pixvec.domain import FittedModel, ItemError
from pixvec.errors import FailedPrecondition, PixvecError, Unavailable
from pixvec.jobs.queue import ChunkQueue
from pixvec.telemetry.logging import get_logger
from pixvec.vision.weights import WeightSource
from workers.fitted_models import try_out
from workers.fitting import Fitting

log = get_logger(__name__)

# Between two notes of how far a sample has come.
_NOTE_S = 0.5


class _Ended(Exception):
    """This worker is to stop, or the training is another's by now: it is left as it is."""


class TrainingRunner:
    """Works on trainings, one at a time."""

    def __init__(
        self,
        trainings: TrainingStore,
        blobs: BlobStore,
        queue: ChunkQueue,
        fitting: Fitting,
        weights: WeightSource,
        *,
        owner: str,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trainings = trainings
        self._blobs = blobs
        self._queue = queue
        self._fitting = fitting
        self._weights = weights
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more, and give back what is under way. Returns at once; a signal handler may call it."""
        self._stopping = True

    def run(self, job_id: str) -> None:
        """Do a training, if nobody else does. Raises JobNotFound, and Unavailable when the database goes away: the
        lease then runs out, kept by nobody."""
        if self._stopping:
            # Its own message has come back to it, before Celery has stopped to listen.
            self._queue.publish_training(job_id)
            return
        training = self._trainings.lease(job_id, self._owner, self._lease_s)
        if training is None:
            return
        log.info("training_begun", job=job_id, attempt=training.attempt, model=training.spec.model)
        try:
            with self._kept(training) as lost:
                self._train(training, lost)
        except _Ended:
            self._leave(job_id)
        except Exception as error:  # noqa: BLE001  # whatever fitting raises is told of the job
            self._fail(training, error)

    def _train(self, training: LeasedTraining, lost: threading.Event) -> None:
        spec = training.spec
        sample = self._trainings.sample(training.collection.collection_id, spec.sample_size)
        count = _Count(self._trainings, training, len(sample), self._clock)

        def tell(decoded: int, failed: int) -> None:
            if self._stopping or lost.is_set():
                raise _Ended
            count.add(decoded, failed)

        with tempfile.TemporaryDirectory(prefix="pixvec-training-") as folder:
            path = self._fitting.fit(training, sample, Path(folder), tell)
            count.note()
            content = path.read_bytes()
            made = try_out(self._weights, spec.kind, spec.name, spec.base_model, path)
        model = FittedModel(
            spec.name,
            spec.kind,
            spec.base_model,
            made.dim,
            made.digest,
            self._blobs.put(content),
            len(content),
            training.collection.name,
            dt.datetime.now(dt.UTC),
        )
        done = self._trainings.complete(training.job_id, self._owner, model)
        log.info("training_ended", job=training.job_id, model=spec.model, registered=done)

    @contextmanager
    def _kept(self, training: LeasedTraining) -> Iterator[threading.Event]:
        """Keep the lease; what is given is set once that was lost."""
        lost, done = threading.Event(), threading.Event()

        def keep() -> None:
            while not done.wait(self._lease_s / 3):
                try:
                    kept = self._trainings.renew(training.job_id, self._owner, self._lease_s)
                except PixvecError as error:
                    log.warning("lease_not_renewed", job=training.job_id, error=error.message)
                    continue
                if not kept:
                    log.warning("lease_lost", job=training.job_id)
                    lost.set()
                    return

        thread = threading.Thread(target=keep, name="training-lease", daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            done.set()
            thread.join()

    def _leave(self, job_id: str) -> None:
        self._trainings.release(job_id, self._owner)
        log.info("training_left", job=job_id)
        self._queue.publish_training(job_id)

    def _fail(self, training: LeasedTraining, error: Exception) -> None:
        known = _known(error)
        if known.retryable and not is_last(training.attempt):
            rest_s = pause_s(training.attempt)
            self._trainings.put_off(training.job_id, self._owner, rest_s)
            log.warning("training_put_off", job=training.job_id, pause_s=rest_s, error=known.message)
            return
        self._trainings.fail(
            training.job_id, self._owner, ItemError(known.reason, known.message, retryable=known.retryable)
        )
        log.warning("training_failed", job=training.job_id, error=known.message)


class _Count:
    """How far a sample has come, noted now and then."""

    def __init__(
        self, trainings: TrainingStore, training: LeasedTraining, total: int, clock: Callable[[], float]
    ) -> None:
        self._trainings = trainings
        self._training = training
        self._total = total
        self._clock = clock
        self._decoded = self._failed = 0
        self._noted_at = clock() - _NOTE_S

    def add(self, decoded: int, failed: int) -> None:
        """Count pictures."""
        self._decoded += decoded
        self._failed += failed
        if self._clock() - self._noted_at >= _NOTE_S:
            self.note()

    def note(self) -> None:
        """Write down what was counted, if the store can be reached."""
        self._noted_at = self._clock()
        held = (self._training.job_id, self._training.owner)
        try:
            self._trainings.note(*held, self._total, self._decoded, self._failed)
        except Unavailable as error:
            # It is for those who look on: the sample goes on.
            log.info("training_not_noted", error=error.message)


def _known(error: Exception) -> PixvecError:
    if isinstance(error, PixvecError):
        return error
    if isinstance(error, SoftTimeLimitExceeded):
        return FailedPrecondition(
            "the training took longer than a worker may: ask for fewer words, or a smaller sample"
        )
    log.error("training_trouble", exc_info=error)
    return Unavailable(f"the worker failed: {error}; its log has the details")
