"""What goes wrong with items of a chunk: for some it is the end, for others there is another attempt."""

from collections.abc import Iterable

from pixvec.catalogue.attempts import is_last
from pixvec.catalogue.interfaces import FailedItem, LeasedItem
from pixvec.domain import ItemError
from pixvec.errors import PixvecError, Unavailable
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


class Troubles:
    """Sorts the items that do not become vectors. `left` are to stay open: what went wrong may pass, and attempts are
    left; `cause` is the last of what did."""

    def __init__(self) -> None:
        self.left: list[LeasedItem] = []
        self.cause = ""
        self.failures = 0
        self._failed: list[FailedItem] = []
        self._told: tuple[Exception, PixvecError] | None = None

    def note(self, items: Iterable[LeasedItem], error: Exception) -> None:
        """Take in what went wrong with these items. An error that is none of ours counts as one that may pass."""
        known = self._known(error)
        for item in items:
            if known.retryable and not is_last(item.attempt):
                self.left.append(item)
                self.cause = known.message
            else:
                self._failed.append(_failed(item, known))
                self.failures += 1

    def _known(self, error: Exception) -> PixvecError:
        """Return it as one of ours, told once however many pictures it happened to."""
        if self._told is None or self._told[0] is not error:
            self._told = (error, error if isinstance(error, PixvecError) else _unforeseen(error))
        return self._told[1]

    def take_failed(self) -> list[FailedItem]:
        """Return those that have failed for good since the last call."""
        failed, self._failed = self._failed, []
        return failed


def _unforeseen(error: Exception) -> PixvecError:
    log.error("item_trouble", exc_info=error)
    return Unavailable(f"the worker failed: {error}; its log has the details")


def _failed(item: LeasedItem, error: PixvecError) -> FailedItem:
    name = f"{item.image_id} ({item.uri})" if item.uri else item.image_id
    return FailedItem(item, ItemError(error.reason, f"{name}: {error.message}", error.retryable))
