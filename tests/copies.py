"""Copies of a picture as editors make them, and pictures that are merely like it: labelled pairs for tests."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageEnhance

from tests.pictures import reopened
from tests.scenes import COLOURS, Scene, Thing, make_scene, scene_of

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def part_of(picture: Image.Image, share: float, rng: np.random.Generator) -> tuple[Image.Image, tuple[int, ...]]:
    """Return a part that has `share` of the area, anywhere, and its box, xyxy in pixels."""
    width, height = (round(side * share**0.5) for side in picture.size)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    box = (left, top, left + width, top + height)
    return picture.crop(box), box


def _tinted(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    shifted = np.asarray(picture, np.float32) * rng.uniform(0.7, 1.2, 3) + rng.uniform(-20, 20, 3)
    return Image.fromarray(np.clip(shifted, 0, 255).astype(np.uint8))


def _scaled(by: float) -> Change:
    return lambda picture, _: picture.resize((round(picture.width * by), round(picture.height * by)))


def _compressed(quality: int) -> Change:
    return lambda picture, _: reopened(picture, quality=quality)


def _cropped(share: float) -> Change:
    return lambda picture, rng: part_of(picture, share, rng)[0]


# The whole picture, upright: the perceptual hash is meant to know it again.
WHOLE: Mapping[str, Change] = {
    "the same": lambda picture, _: picture,
    "re-compressed": _compressed(30),
    "halved": _scaled(0.5),
    "doubled": _scaled(2.0),
    "squashed": lambda picture, _: picture.resize((picture.width, round(picture.height * 0.9))),
    "tinted": _tinted,
    "grey": lambda picture, _: picture.convert("L").convert("RGB"),
}
# For keypoints only.
CHANGED: Mapping[str, Change] = {
    "brightened": lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.3),
    "cropped to 70 %": _cropped(0.7),
    "cropped to 40 %": _cropped(0.4),
    "cropped and re-compressed": lambda picture, rng: reopened(_cropped(0.5)(picture, rng), quality=50),
    "turned by 8 degrees": lambda picture, _: picture.rotate(8, Image.Resampling.BICUBIC),
    "turned by 35 degrees": lambda picture, _: picture.rotate(35, Image.Resampling.BICUBIC, expand=True),
    "turned by 90 degrees": lambda picture, _: picture.transpose(Image.Transpose.ROTATE_90),
}


def _with_ground_of(scene: Scene, seed: int) -> Image.Image:
    return scene_of(scene.things, seed, scene.picture.size)


def _recoloured(scene: Scene, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    others = [Thing(each.shape, str(rng.choice(list(COLOURS))), each.texture, each.box_xyxy) for each in scene.things]
    return scene_of(others, seed, scene.picture.size)


# Merely alike: of a scene and a seed.
LIKE: Mapping[str, Callable[[Scene, int], Image.Image]] = {
    "the same things elsewhere": _with_ground_of,
    "the same layout in other colours": _recoloured,
    "another scene": lambda scene, seed: make_scene(seed + 10_000, scene.picture.size, things=(2, 4)).picture,
}
