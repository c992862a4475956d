"""When another replica is asked beside one that is slow."""

import math
from collections import deque
from collections.abc import Sequence

from pixvec.catalogue.topology import Replica

# Of all calls to searchers at most so many are asked twice: where everything is slow, more calls help nobody.
_SHARE = 0.05
_MOST_SAVED = 10.0
_REMEMBERED = 200
_ENOUGH = 20
_DELAY_S = 0.1
_LEAST_DELAY_S = 0.01
_AVOIDED_S = 2.0


class Hedging:
    """Knows how long calls take, how many may be asked twice, and which searchers were slow just now. Times are those
    of one clock, in seconds, given with each call."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._counted = 0
        self._delay_s = _DELAY_S
        self._saved = 0.0
        self._slow_until: dict[str, float] = {}

    @property
    def delay_s(self) -> float:
        """How long an answer usually takes: 19 of the last 20 calls took no longer."""
        return self._delay_s

    def began(self) -> None:
        """Count a call."""
        self._saved = min(self._saved + _SHARE, _MOST_SAVED)

    def took(self, address: str, seconds: float) -> None:
        """Note how long an answer took."""
        self._slow_until.pop(address, None)
        self._seconds.append(seconds)
        self._counted += 1
        # Sorting them is for now and then.
        if self._counted % _ENOUGH == 0:
            ordered = sorted(self._seconds)
            self._delay_s = max(_LEAST_DELAY_S, ordered[math.ceil(0.95 * len(ordered)) - 1])

    def may_ask_twice(self, calls: int) -> bool:
        """Whether so many calls may be made beside the usual ones; they are counted if so."""
        # A hair less: twenty twentieths do not add up to one.
        if self._saved < calls - 1e-9:
            return False
        self._saved -= calls
        return True

    def was_slow(self, address: str, now: float) -> None:
        """Ask others first for a moment."""
        self._slow_until[address] = now + _AVOIDED_S

    def preferred(self, replicas: Sequence[Replica], now: float) -> Sequence[Replica]:
        """Return those replicas that were not slow just now, all if all were."""
        if not self._slow_until:
            return replicas
        quick = [each for each in replicas if self._slow_until.get(each.address, 0.0) <= now]
        return quick or replicas
