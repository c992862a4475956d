"""How much memory rows that no build has sealed yet may take."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GrowingBudget:
    """Bytes for the growing rows of one shard, and for those of all shards of this searcher. `sizes` says what each of
    these takes now. Any thread may ask."""

    shard_bytes: int
    total_bytes: int
    sizes: Callable[[], Sequence[int]]

    def is_spent_by(self, size_bytes: int) -> bool:
        """Whether a shard whose growing rows take this much has to wait for a build. Where all together take too much
        the largest has: sealing it frees most."""
        if size_bytes > self.shard_bytes:
            return True
        sizes = self.sizes()
        return sum(sizes) > self.total_bytes and size_bytes >= max(sizes)
