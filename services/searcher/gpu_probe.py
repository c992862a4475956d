"""Tries a GPU in a process of its own: a fault of CUDA ends the process that meets it, not the searcher then."""

import subprocess
import sys

import numpy as np

from pixvec.domain import Metric
from pixvec.index.gpu import DeviceFailed
from pixvec.index.gpu_faiss import FaissGpu

_LIMIT_S = 120.0
_LAST_WORDS_CHARS = 500
_ROWS, _DIM = 1_000, 64


def why_unusable(number: int) -> str:
    """Return why the GPU of this number cannot be used, nothing where it can. Takes seconds, two minutes at most."""
    command = [sys.executable, "-m", "services.searcher.gpu_probe", str(number)]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it has not answered within {_LIMIT_S:.0f} s"
    if not ended.returncode:
        return ""
    return ended.stderr[-_LAST_WORDS_CHARS:].strip() or f"the process that tried it ended with {ended.returncode}"


def main() -> None:
    """Search a few rows with the GPU of the number given."""
    rows = np.random.default_rng(0).standard_normal((_ROWS, _DIM)).astype(np.float32)
    try:
        index = FaissGpu(int(sys.argv[1])).flat(rows, Metric.EUCLIDEAN, half=True)
        found = index.search(rows[:10], 1, 0).rows[:, 0].tolist()
    except DeviceFailed as error:
        sys.exit(str(error))
    if found != list(range(10)):
        sys.exit(f"it finds the rows {found} where it should find the first ten")


if __name__ == "__main__":
    main()
