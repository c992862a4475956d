"""Handcrafted vectors are the stored ones; `python -m tests.golden.regenerate` stores others.

A failure here means that vectors of this version and of the one before cannot be compared.
"""

import numpy as np
import pytest

from tests.golden import stored
from tests.golden.handcrafted import PICTURES, PLAIN, SIFT, extractors, measure_all

MODELS = extractors()
STORED = stored.read(stored.HANDCRAFTED)
# Components of a vector of length one. Where a keypoint is found differs a little between processors.
TOLERANCE = {**dict.fromkeys(PLAIN, 1e-4), **dict.fromkeys(SIFT, 0.02)}


@pytest.fixture(scope="module")
def found() -> dict:
    return measure_all(MODELS)


@pytest.mark.parametrize("case", [f"{name} {picture}" for name in MODELS for picture in PICTURES])
@pytest.mark.parametrize("part", ["norm", "ends", "parts", "waves"])
def test_vector(found: dict, case: str, part: str) -> None:
    name = case.partition(" ")[0]
    assert found[case][part] == pytest.approx(STORED["cases"][case][part], abs=TOLERANCE[name])


def test_the_stored_cases_are_those_that_there_are(found: dict) -> None:
    assert STORED["cases"].keys() == found.keys()


def test_the_values_were_stored_under_these_digests() -> None:
    assert {name: model.digest for name, model in MODELS.items()} == STORED["digest"]


@pytest.mark.parametrize("name", MODELS)
def test_pictures_that_differ_have_values_that_differ(name: str) -> None:
    parts = [STORED["cases"][f"{name} {picture}"]["parts"] for picture in ("png", "palette", "1x1")]
    apart = [np.abs(np.subtract(one, other)).max() for one, other in ((parts[0], parts[1]), (parts[1], parts[2]))]
    assert min(apart) > 2 * TOLERANCE[name]
