"""One place in the pool: a decoder process and its replacements, one at a time."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from pixvec.errors import PictureUndecodable, PixvecError, Unavailable
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import DECODERS_KILLED
from pixvec.vision.decode import DecodeLimits
from workers.decoder_process import DecoderDied, DecoderOverran, DecoderProcess

_log = get_logger(__name__)
_T = TypeVar("_T")

# The first death may be another's doing, such as the kernel short of memory; the second is the picture's.
_ATTEMPTS = 2


class DecoderLane:
    """To be used by one thread from `start` to `close`."""

    def __init__(self, limits: DecodeLimits, item_timeout_s: float, memory_bytes: int, recycle_items: int) -> None:
        self._limits = limits
        self._item_timeout_s = item_timeout_s
        self._memory_bytes = memory_bytes
        self._recycle_items = recycle_items
        self._process: DecoderProcess | None = None

    @property
    def pid(self) -> int | None:
        """The running process's id. May be read by any thread."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> DecoderProcess:
        """Return the running process, a new one if there is none. Raises Unavailable if it does not come up."""
        if self._process is None:
            self._process = DecoderProcess(
                self._limits, item_timeout_s=self._item_timeout_s, memory_bytes=self._memory_bytes
            )
        return self._process

    def work(self, run: Callable[[DecoderProcess], _T], future: Future[_T]) -> None:
        """End the future with what `run` returns or raises, over a fresh process if need be."""
        try:
            future.set_result(self._attempt(run))
        except PixvecError as error:
            future.set_exception(error)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to the one who waits: the lane goes on
            # The process may be in the middle of a reply that the next item would take for its own.
            self._lost("confused")
            future.set_exception(error)

    def recycle(self) -> None:
        """Replace the process if it has served long or has grown."""
        process = self._process
        if process is None:
            return
        if process.items < self._recycle_items and process.resident_bytes < self._memory_bytes // 2:
            return
        self.close()
        try:
            self.start()
        except Unavailable as error:
            # The next item tries again, and tells its caller.
            _log.warning("decoder_not_replaced", error=error.message)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _attempt(self, run: Callable[[DecoderProcess], _T]) -> _T:
        for _ in range(_ATTEMPTS):
            try:
                return run(self.start())
            except DecoderDied:
                self._lost("died")
            except DecoderOverran:
                self._lost("overran")
                raise PictureUndecodable(
                    f"decoding it takes more than {self._item_timeout_s:g} seconds: shrink or re-save the picture"
                ) from None
        raise PictureUndecodable(f"it made the decoder crash {_ATTEMPTS} times: re-save the picture")

    def _lost(self, cause: str) -> None:
        _log.warning("decoder_lost", cause=cause, pid=self.pid)
        DECODERS_KILLED.labels(cause=cause).inc()
        self.close()
