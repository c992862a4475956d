"""What the searchers said to one call so far."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from pixvec.domain import Collection
from pixvec.errors import FailedPrecondition, InvalidRequest, NotFound, PixvecError, ShardUnavailable
from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)


class Answered(Protocol):
    """An answer of one searcher."""

    @property
    def shards_answered(self) -> tuple[int, ...]:
        """The shards it speaks for."""


A = TypeVar("A", bound=Answered)

# Asks the searcher at an address about some of its shards, within so many seconds. Raises PixvecError.
Ask: TypeAlias = Callable[[str, tuple[int, ...], float], Awaitable[A]]


@dataclass(slots=True)
class Gathered(Generic[A]):
    """The answers of those searchers that gave one, and what the last of the others said."""

    shards: tuple[int, ...]
    answers: list[A] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    last_error: PixvecError | None = None

    @property
    def missing(self) -> list[int]:
        """The shards that have not answered."""
        return [shard for shard in self.shards if shard not in self.answered]

    def add(self, address: str, asked: Iterable[int], answer: A) -> None:
        """Take an answer in."""
        if answer.shards_answered:
            self.answers.append(answer)
            self.answered.update(answer.shards_answered)
        if not self.answered.issuperset(asked):
            self.failed.add(address)

    def note(self, address: str, error: PixvecError) -> None:
        """Remember a failure. Raises what another replica would answer just the same."""
        if isinstance(error, InvalidRequest | FailedPrecondition | NotFound):
            raise error
        log.info("searcher_failed", address=address, reason=error.reason, error=error.message)
        self.failed.add(address)
        self.last_error = error

    def unavailable(self, collection: Collection) -> ShardUnavailable:
        """Return the error for the shards that are missing."""
        cause, missing = self.last_error, self.missing
        why = f" ({cause.message})" if cause else "; no searcher holds it ready"
        noun = f"shard {missing[0]}" if len(missing) == 1 else f"shards {', '.join(map(str, missing))}"
        error = ShardUnavailable(
            f"{noun} of {collection.name} did not answer in time{why}; try again in a moment", retry_after_s=0.2
        )
        error.__cause__ = cause
        return error
