"""The system a benchmark measures."""

from collections.abc import Mapping
from pathlib import Path

from pixvec.embedded.running import RunningSystem


def running_system(weights: Mapping[str, Path]) -> RunningSystem:
    """Return a system of one searcher and one shard with these weights, to be used in a `with`."""
    return RunningSystem(weights=weights, download=False)
