"""A GPU is tried in a process that may die of it."""

import pytest

from pixvec.index.gpu_faiss import gpu_count
from services.searcher.gpu_probe import why_unusable


def test_a_gpu_that_is_not_there_ends_the_process_that_tries_it() -> None:
    """FAISS asserts that there is one: the searcher itself would have ended."""
    assert "getNumDevices()' failed" in why_unusable(gpu_count())


def test_a_gpu_that_works_is_usable() -> None:
    if not gpu_count():
        pytest.skip("there is no GPU here: faiss.get_num_gpus() is 0")
    assert why_unusable(0) == ""
