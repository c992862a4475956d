"""Pixels and vectors are those of the stored values; `python -m tests.golden.regenerate` stores others.

A failure here means that vectors of this version and of the one before cannot be compared.
"""

import numpy as np
import pytest

from tests.golden import stored
from tests.golden.measure import MODEL, PREPROCESSES, is_exact, measure
from tests.golden.pictures import files

FILES = files()
STORED = stored.read()
# Colours in steps of 255, components of a vector of length one. Codecs of another release round otherwise.
EXACT, CODEC = {"colour": 0.11, "component": 1e-5}, {"colour": 1.5, "component": 0.005}


@pytest.fixture(scope="module", params=FILES)
def case(request: pytest.FixtureRequest) -> tuple[str, dict, dict]:
    """The case's name, what is stored of it, and what it is now."""
    return request.param, STORED["cases"][request.param], measure(request.param, FILES[request.param])


def tolerance(name: str, of: str) -> float:
    return (EXACT if is_exact(name) else CODEC)[of]


def test_format_and_upright_size(case) -> None:
    _, expected, found = case
    assert (found["format"], found["size"]) == (expected["format"], expected["size"])


@pytest.mark.parametrize("fit", PREPROCESSES)
def test_pixels(case, fit: str) -> None:
    name, expected, found = case
    assert found[fit] == pytest.approx(expected[fit], abs=tolerance(name, "colour"))
    assert found.get(f"{fit}_sha256") == expected.get(f"{fit}_sha256")


@pytest.mark.parametrize("part", ["norm", "ends", "parts", "waves"])
def test_vector(case, part: str) -> None:
    name, expected, found = case
    assert found[part] == pytest.approx(expected[part], abs=tolerance(name, "component"))


def test_the_stored_cases_are_those_that_there_are() -> None:
    assert STORED["cases"].keys() == FILES.keys()


def test_the_values_were_stored_under_this_digest() -> None:
    assert MODEL.digest == STORED["digest"]


@pytest.mark.parametrize("kind", ["exif", "png-exif"])
def test_all_orientations_show_the_same_picture(kind: str) -> None:
    one, *others = (STORED["cases"][f"{kind}-{orientation}"] for orientation in range(1, 9))
    for other in others:
        assert other["size"] == one["size"]
        assert other["squash"] == pytest.approx(one["squash"], abs=1)
        assert other["parts"] == pytest.approx(one["parts"], abs=0.02)


def test_cases_that_differ_have_values_that_differ() -> None:
    upright = STORED["cases"]["png"]
    for name in ("palette", "grey", "alpha", "bilevel", "1x1", "20000x1"):
        apart = np.abs(np.subtract(STORED["cases"][name]["parts"], upright["parts"]))
        assert apart.max() > 10 * CODEC["component"], name
