"""Copies are found, whole or in part, in either direction, and where they lie; what is merely alike is not."""

import itertools

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.copy_detection import Copy, Look, find_copy, look_at
from tests.copies import CHANGED, LIKE, WHOLE, part_of
from tests.scenes import Scene, make_scene

COUNT = 8
SIZE = (480, 360)


@pytest.fixture(scope="module")
def shown() -> list[Scene]:
    return [make_scene(seed, SIZE, things=(2, 4)) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def looks(shown: list[Scene]) -> list[Look]:
    return [look(scene.picture) for scene in shown]


def look(picture: Image.Image) -> Look:
    return look_at(np.asarray(picture))


@pytest.mark.parametrize("name", [*WHOLE, *CHANGED])
def test_a_copy_is_found_in_either_direction(name: str, shown: list[Scene], looks: list[Look]) -> None:
    found = []
    for seed, (scene, original) in enumerate(zip(shown, looks, strict=True)):
        copy = look((WHOLE | CHANGED)[name](scene.picture, np.random.default_rng(seed)))
        found += [find_copy(copy, original), find_copy(original, copy)]
    assert sum(each is not None for each in found) >= 0.9 * len(found)


@pytest.mark.parametrize("name", LIKE)
def test_what_is_merely_alike_is_no_copy(name: str, shown: list[Scene], looks: list[Look]) -> None:
    for seed, (scene, original) in enumerate(zip(shown, looks, strict=True)):
        like = look(LIKE[name](scene, seed))
        assert find_copy(like, original) is None
        assert find_copy(original, like) is None


def test_no_scene_is_a_copy_of_another(looks: list[Look]) -> None:
    assert all(find_copy(*pair) is None for pair in itertools.combinations(looks, 2))


def in_pixels(found: Copy | None, size: tuple[int, int]) -> np.ndarray:
    assert found is not None
    return found.quad_xy * size


def test_the_quad_is_where_the_crop_was_cut(shown: list[Scene], looks: list[Look]) -> None:
    part, (left, top, right, bottom) = part_of(shown[0].picture, 0.5, np.random.default_rng(3))
    quad = in_pixels(find_copy(look(part), looks[0]), SIZE)
    assert quad == pytest.approx(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), abs=2)


def test_a_picture_reaches_beyond_its_own_crop(shown: list[Scene], looks: list[Look]) -> None:
    part, (left, top, _, _) = part_of(shown[0].picture, 0.5, np.random.default_rng(3))
    quad = in_pixels(find_copy(looks[0], look(part)), part.size)
    assert quad[0] == pytest.approx((-left, -top), abs=2)
    assert quad[2] == pytest.approx((SIZE[0] - left, SIZE[1] - top), abs=2)


def test_a_turned_copy_begins_at_another_corner(shown: list[Scene], looks: list[Look]) -> None:
    turned = shown[1].picture.transpose(Image.Transpose.ROTATE_90)
    quad = in_pixels(find_copy(looks[1], look(turned)), turned.size)
    assert quad[0] == pytest.approx((0, turned.height), abs=2)


def test_the_same_picture_twice_gives_the_same_answer(shown: list[Scene], looks: list[Look]) -> None:
    crop = look(part_of(shown[2].picture, 0.4, np.random.default_rng(5))[0])
    one, other = find_copy(crop, looks[2]), find_copy(crop, looks[2])
    assert one is not None
    assert other is not None
    assert one.inliers == other.inliers
    assert np.array_equal(one.quad_xy, other.quad_xy)


@pytest.mark.parametrize("size", [(1, 1), (300, 2), (2, 900), (640, 480)])
def test_plain_pictures_are_copies_of_nothing(size: tuple[int, int], looks: list[Look]) -> None:
    plain = look(Image.new("RGB", size, (90, 120, 40)))
    assert find_copy(plain, plain) is None
    assert find_copy(plain, looks[0]) is None
    assert find_copy(looks[0], plain) is None


def test_the_same_logo_makes_no_copies(shown: list[Scene]) -> None:
    logo = shown[3].picture.crop((0, 0, 140, 140))
    one, other = (scene.picture.copy() for scene in shown[4:6])
    one.paste(logo, (10, 10))
    other.paste(logo, (300, 200))
    assert find_copy(look(one), look(other)) is None


def test_a_repeated_pattern_makes_no_copies() -> None:
    rng = np.random.default_rng(1)
    tile = np.asarray(Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((60, 60)))
    wall = np.tile(tile, (6, 8, 1))
    other = np.tile(np.rot90(tile[:, ::-1]), (6, 8, 1)).copy()
    assert find_copy(look_at(wall), look_at(other)) is None


def test_a_mirrored_picture_is_not_looked_for(shown: list[Scene], looks: list[Look]) -> None:
    assert find_copy(look(shown[0].picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), looks[0]) is None
