"""FAISS, loaded when the first vector comes: its CUDA libraries take 190 MB, which a searcher without vectors can do
without."""

import functools
import logging
import threading
import time
from typing import Any

from pixvec.telemetry.logging import get_logger

log = get_logger(__name__)

_this_thread = threading.local()


@functools.cache
def _load() -> Any:
    begun = time.perf_counter()
    # It tells of every build of itself that it does not find.
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    import faiss

    log.info("faiss_loaded", version=faiss.__version__, seconds=round(time.perf_counter() - begun, 3))
    return faiss


def load_faiss() -> Any:
    """Return the faiss module, limited to one OpenMP thread in the calling thread: searches run side by side, and
    OpenMP teams of several searches bring each other to a crawl."""
    faiss = _load()
    if not getattr(_this_thread, "is_limited", False):
        faiss.omp_set_num_threads(1)
        _this_thread.is_limited = True
    return faiss
