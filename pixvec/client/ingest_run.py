"""One ingest under way: pictures are read ahead, sent, and followed to their end, over as many streams as it takes.

Two threads: one reads the sources, one follows the answers; gRPC's own thread takes requests off `_requests`. What the
server has not yet reported QUEUED is kept, or read from its file again, and sent again on the next stream under the
same ordinal, so that a broken connection loses nothing and takes nothing twice.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import grpc

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.client.failures import client_error
from pixvec.client.ledger import IngestLedger, OpenItem
from pixvec.client.patience import GIVE_UP_AFTER_S, Patience
from pixvec.client.requests import ingest_item
from pixvec.client.sources import NewImage
from pixvec.client.values import Failure, IngestCounts
from pixvec.domain import IngestStage, ItemError, SeqToken
from pixvec.errors import ContentNotFound, PixvecError, Unavailable

_OVERLOAD_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 3.0


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """How much an ingest keeps in memory, and how long it goes on without an answer."""

    max_unaccepted: int = 512
    max_bytes: int = 48 * 2**20
    give_up_after_s: float = GIVE_UP_AFTER_S


class IngestRun:
    """Runs in the background from `start` until `done` resolves, or the program ends: it keeps no program alive."""

    def __init__(
        self,
        method: "grpc.StreamStreamMultiCallable[pb.IngestRequest, pb.IngestResponse]",
        opening: pb.IngestOpen,
        images: Iterator[NewImage],
        limits: IngestLimits,
        on_end: Callable[["IngestRun"], None],
    ) -> None:
        self._method = method
        self._opening = opening
        self._images = images
        self._on_end = on_end
        self._ledger = IngestLedger(
            IngestStage(opening.wait or IngestStage.INDEXED), limits.max_unaccepted, limits.max_bytes
        )
        self._changed = threading.Condition()
        self._job_known = threading.Event()
        self._call: grpc.Call | None = None
        self._stream = 0
        self._cancelled = False
        self._not_before = 0.0
        self._reading: Future[None] = Future()
        self._patience = Patience(limits.give_up_after_s)
        self.done: Future[None] = Future()

    @property
    def counts(self) -> IngestCounts:
        """How the items stand now."""
        with self._changed:
            return self._ledger.counts

    @property
    def failures(self) -> list[Failure]:
        """The first items that failed."""
        with self._changed:
            return self._ledger.failures

    @property
    def token(self) -> SeqToken:
        """Covers every item indexed so far."""
        with self._changed:
            return self._ledger.token

    @property
    def job_id(self) -> str:
        """The job's id; waits for the server to give it one."""
        self._job_known.wait()
        return self._opening.job_id

    def start(self) -> None:
        """Begin reading and sending."""
        self._reading.add_done_callback(self._wake)
        _start_thread("pixvec-ingest-read", self._read, self._reading)
        _start_thread("pixvec-ingest-send", self._transfer, self.done)

    def cancel(self) -> None:
        """Stop sending. What was accepted goes on; `done` fails with Unavailable saying so."""
        with self._changed:
            self._cancelled = True
            call = self._call
            self._changed.notify_all()
        if call is not None:
            call.cancel()  # type: ignore[no-untyped-call]

    def _wake(self, _: object = None) -> None:
        with self._changed:
            self._changed.notify_all()

    def _read(self) -> None:
        for image in self._images:
            with self._changed:
                self._changed.wait_for(lambda: self._cancelled or self._ledger.has_room)
                if self._cancelled:
                    return
                ordinal = self._ledger.next_ordinal()
            self._admit(ordinal, image)

    def _admit(self, ordinal: int, image: NewImage) -> None:
        try:
            request = ingest_item(ordinal, image)
        except (OSError, PixvecError) as error:
            self._reject(ordinal, image, error)
            return
        with self._changed:
            self._ledger.admit(OpenItem(ordinal, image, request, len(request.item.content)))
            self._changed.notify_all()

    def _reject(self, ordinal: int, image: NewImage, error: OSError | PixvecError) -> None:
        reason = error.reason if isinstance(error, PixvecError) else ContentNotFound.reason
        message = str(error) if isinstance(error, PixvecError) else f"{image.image_id}: cannot read the file: {error}"
        with self._changed:
            self._ledger.reject(ordinal, image.image_id, ItemError(reason, message), image.uri or "")
            self._changed.notify_all()

    def _transfer(self) -> None:
        pause_s = 0.1
        try:
            while not self._follow_stream():
                self._wait_before_next_stream(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self._reading.result()
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._cancelled = True
            self._stream += 1
            self._changed.notify_all()
        self._job_known.set()
        self._on_end(self)

    def _follow_stream(self) -> bool:
        """Return whether the ingest ended; False means the stream broke and another is to be opened."""
        with self._changed:
            self._stream += 1
            self._ledger.resend_unaccepted()
            call = self._call = self._method(self._requests(self._stream))
            if self._cancelled:
                call.cancel()  # type: ignore[no-untyped-call]
        try:
            for response in call:
                self._take_in(response)
        except grpc.RpcError as error:
            self._check_worth_another(client_error(error))
            return False
        if self._ended:
            return True
        self._check_worth_another(Unavailable("the server ended the stream early"))
        return False

    @property
    def _ended(self) -> bool:
        return self._reading.done() and self._ledger.all_closed

    def _take_in(self, response: pb.IngestResponse) -> None:
        if response.WhichOneof("response") == "opened":
            self._opening.job_id = response.opened.job_id
            self._job_known.set()
            return
        with self._changed:
            overloaded = self._ledger.apply(response.statuses.statuses)
            if overloaded:
                self._not_before = time.monotonic() + _OVERLOAD_PAUSE_S * random.uniform(0.5, 1.5)  # noqa: S311
            self._patience.answered()
            self._changed.notify_all()

    def _check_worth_another(self, error: PixvecError) -> None:
        """Raise unless the ingest may go on after this error."""
        if self._cancelled:
            raise Unavailable(f"the ingest was cancelled; {self._how_to_resume()}") from error
        if not error.retryable:
            raise error
        self._patience.failed()
        if self._patience.over:
            raise Unavailable(
                f"gave up after {self._patience.silent_s:.0f} s without an answer ({error}); {self._how_to_resume()}"
            ) from error

    def _how_to_resume(self) -> str:
        if not self._opening.job_id:
            return "nothing was sent"
        return (
            f"what was accepted goes on as job {self._opening.job_id}. To go on, ingest the same pictures again: what"
            " is there already is passed over at once"
        )

    def _wait_before_next_stream(self, pause_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled, timeout=pause_s * random.uniform(0.5, 1.5))  # noqa: S311

    def _requests(self, stream: int) -> Iterator[pb.IngestRequest]:
        """Yield the requests of one stream. It ends when the server has everything: until then a resend is possible."""
        yield pb.IngestRequest(open=self._opening)
        while (item := self._next_item(stream)) is not None:
            try:
                request = item.request or ingest_item(item.ordinal, item.image)
            except (OSError, PixvecError) as error:
                self._reject(item.ordinal, item.image, error)
                continue
            yield request
            with self._changed:
                self._ledger.sent(item)
                self._changed.notify_all()

    def _next_item(self, stream: int) -> OpenItem | None:
        with self._changed:
            while self._stream == stream and not self._cancelled:
                delay_s = self._not_before - time.monotonic()
                if delay_s <= 0 and (item := self._ledger.take()) is not None:
                    return item
                if self._reading.done() and self._ledger.all_accepted:
                    return None
                self._changed.wait(delay_s if delay_s > 0 else None)
        return None


def _start_thread(name: str, work: Callable[[], None], outcome: Future[None]) -> None:
    """Resolve `outcome` with what `work` does in a daemon thread: an executor's threads are waited for at exit."""

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whatever the caller's sources raise belongs to who waits
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    outcome.set_running_or_notify_cancel()
    threading.Thread(target=run, name=name, daemon=True).start()
