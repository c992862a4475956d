"""The perceptual hash: copies of the whole picture keep it, others do not have it, and plain ones have none."""

import itertools

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.perceptual_hash import BITS, distance, perceptual_hash
from tests.copies import LIKE, WHOLE
from tests.scenes import Scene, make_scene

COUNT = 12
NEAR = 3


@pytest.fixture(scope="module")
def shown() -> list[Scene]:
    return [make_scene(seed, (480, 360), things=(2, 4)) for seed in range(COUNT)]


def hash_of(picture: Image.Image) -> int:
    found = perceptual_hash(picture)
    assert found is not None
    return found


@pytest.mark.parametrize("name", WHOLE)
def test_a_copy_has_nearly_the_same_hash(name: str, shown: list[Scene]) -> None:
    distances = []
    for seed, scene in enumerate(shown):
        copy = WHOLE[name](scene.picture, np.random.default_rng(seed))
        distances.append(distance(hash_of(scene.picture), hash_of(copy)))
    assert sum(each <= NEAR for each in distances) >= 0.8 * COUNT


@pytest.mark.parametrize("name", LIKE)
def test_a_picture_that_is_merely_alike_does_not(name: str, shown: list[Scene]) -> None:
    for seed, scene in enumerate(shown):
        assert distance(hash_of(scene.picture), hash_of(LIKE[name](scene, seed))) > NEAR


def test_no_two_scenes_share_a_hash(shown: list[Scene]) -> None:
    hashes = [hash_of(scene.picture) for scene in shown]
    assert min(distance(*pair) for pair in itertools.combinations(hashes, 2)) > NEAR


def test_half_of_the_bits_are_set(shown: list[Scene]) -> None:
    assert all(hash_of(scene.picture).bit_count() == BITS // 2 for scene in shown)


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (20_000, 1)])
def test_a_plain_picture_has_none(size: tuple[int, int]) -> None:
    assert perceptual_hash(Image.new("RGB", size, (200, 30, 90))) is None


def test_noise_on_a_plain_picture_is_nothing_to_be_told_by() -> None:
    noise = np.random.default_rng(0).normal(128, 6, (360, 480, 3)).astype(np.uint8)
    assert perceptual_hash(Image.fromarray(noise)) is None
