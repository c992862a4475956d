"""A network's vectors of every picture are the stored ones; `python -m tests.golden.regenerate` stores others.

A failure here means that vectors of this version and of the one before cannot be compared.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.golden import stored
from tests.golden.measure import is_exact
from tests.golden.network import measure_all, network
from tests.golden.pictures import files
from tests.one_thread import one_thread

STORED = stored.read(stored.NETWORK)
# Components of a vector of length one. Half precision, where a machine has it, is good for a 256th of each.
TOLERANCE, CODEC = 0.004, 0.008


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def found() -> dict:
    return measure_all(network())


@pytest.mark.parametrize("part", ["norm", "ends", "parts", "waves"])
@pytest.mark.parametrize("name", files())
def test_vector(found: dict, name: str, part: str) -> None:
    tolerance = TOLERANCE if is_exact(name) else CODEC
    assert found[name][part] == pytest.approx(STORED["cases"][name][part], abs=tolerance)


def test_the_stored_cases_are_those_that_there_are() -> None:
    assert STORED["cases"].keys() == files().keys()


def test_the_values_were_stored_under_this_digest() -> None:
    assert network().digest == STORED["digest"]


TURNED = [f"png-exif-{orientation}" for orientation in range(1, 9)]


@pytest.mark.parametrize("name", ["bmp", "tiff", "lossless-webp", "16-bit-rgb", "cmyk", "animated-png", *TURNED])
def test_however_the_same_pixels_are_stored_they_have_one_vector(found: dict, name: str) -> None:
    for part, values in found["png"].items():
        # Where in a batch a picture stands may move the last digit.
        assert found[name][part] == pytest.approx(values, abs=1e-5)


@pytest.mark.parametrize("name", ["palette", "grey", "alpha", "bilevel", "1x1", "20000x1", "1x20000"])
def test_cases_that_differ_have_values_that_differ(found: dict, name: str) -> None:
    apart = np.abs(np.subtract(found[name]["parts"], found["png"]["parts"]))
    assert apart.max() > 2 * TOLERANCE
