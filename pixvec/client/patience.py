"""How long to go on asking a server that stays away."""

import random
import time
from collections.abc import Callable

GIVE_UP_AFTER_S = 120.0


class Patience:
    """Lasts `limit_s` from the first failure after the last answer."""

    def __init__(self, limit_s: float = GIVE_UP_AFTER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._failing_since: float | None = None

    def answered(self) -> None:
        """Note an answer."""
        self._failing_since = None

    def failed(self) -> None:
        """Note that there was none."""
        if self._failing_since is None:
            self._failing_since = self._clock()

    @property
    def silent_s(self) -> float:
        """How long there has been no answer; 0 while there are some."""
        return 0.0 if self._failing_since is None else self._clock() - self._failing_since

    @property
    def over(self) -> bool:
        """Whether to give up."""
        return self.silent_s > self._limit_s

    @staticmethod
    def pause_s() -> float:
        """Return how long to wait before asking again, at random so that callers do not come back all at once."""
        return random.uniform(0.2, 1.0)  # noqa: S311
