"""Labelled scenes, made from a seed: things of a shape, a colour and a texture at known places, with a caption.

The same seed gives the same scene on every machine. Things do not overlap, so that every box shows what it says.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "cross", "ring")
COLOURS = {
    "red": (214, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (240, 215, 50),
    "green": (50, 160, 70),
    "blue": (45, 90, 210),
    "purple": (140, 60, 170),
    "white": (245, 245, 245),
    "black": (20, 20, 25),
}
TEXTURES = ("plain", "striped", "dotted", "chequered")

# Of the shorter side of the picture.
_LEAST_SIDE, _MOST_SIDE = 0.22, 0.42
_GAP = 2
_TRIES = 200
# Edges are drawn at this multiple and scaled down, which makes them smooth.
_FINER = 2
_GROUND_CELLS = 12


@dataclass(frozen=True, slots=True)
class Thing:
    """One object. `box_xyxy`: the pixels that it fills, the ends not included."""

    shape: str
    colour: str
    texture: str
    box_xyxy: tuple[int, int, int, int]

    @property
    def label(self) -> int:
        """The place of its shape among SHAPES: a class for detectors, counted from 0."""
        return SHAPES.index(self.shape)

    @property
    def phrase(self) -> str:
        """What it is called: a plain thing by its colour and shape."""
        texture = () if self.texture == "plain" else (self.texture,)
        return " ".join((*texture, self.colour, self.shape))


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and what is in it, from left to right. `caption` says all of that but the sizes."""

    picture: Image.Image
    things: tuple[Thing, ...]
    caption: str


def make_scene(seed: int, size: tuple[int, int] = (224, 224), *, things: tuple[int, int] = (1, 3)) -> Scene:
    """Return a scene of (width, height) pixels that shows from `things[0]` to `things[1]` objects."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(things[0], things[1] + 1))
    boxes = _boxes(rng, count, size)
    shown = [
        Thing(*(str(rng.choice(values)) for values in (SHAPES, tuple(COLOURS), TEXTURES)), box) for box in sorted(boxes)
    ]
    return Scene(_drawn(shown, rng, size), tuple(shown), _caption(shown, size))


def scene_of(things: Sequence[Thing], seed: int, size: tuple[int, int] = (224, 224)) -> Image.Image:
    """Return a picture of these things on a ground that is the seed's."""
    return _drawn(things, np.random.default_rng(seed), size)


def _drawn(things: Sequence[Thing], rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    picture = _ground(rng, size)
    for thing in things:
        _draw(picture, thing)
    return picture


def scenes(seeds: range, size: tuple[int, int] = (224, 224), *, things: tuple[int, int] = (1, 3)) -> Iterator[Scene]:
    """Return one scene a seed."""
    return (make_scene(seed, size, things=things) for seed in seeds)


def crop_of(scene: Scene, seed: int, share: float = 0.4) -> Image.Image:
    """Return a part of the picture that has `share` of its area, around one of its things as far as it goes."""
    rng = np.random.default_rng(seed)
    width, height = scene.picture.size
    across, down = round(width * share**0.5), round(height * share**0.5)
    left, top, right, bottom = scene.things[int(rng.integers(len(scene.things)))].box_xyxy
    x = min(max(0, (left + right - across) // 2), width - across)
    y = min(max(0, (top + bottom - down) // 2), height - down)
    return scene.picture.crop((x, y, x + across, y + down))


def _boxes(rng: np.random.Generator, count: int, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return up to `count` boxes, at least one, that keep off each other."""
    boxes: list[tuple[int, int, int, int]] = []
    for _ in range(_TRIES):
        side = int(rng.uniform(_LEAST_SIDE, _MOST_SIDE) * min(size))
        left, top = int(rng.integers(0, size[0] - side)), int(rng.integers(0, size[1] - side))
        box = (left, top, left + side, top + side)
        if not any(_overlap(box, other) for other in boxes):
            boxes.append(box)
        if len(boxes) == count:
            break
    return boxes


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return all(one[axis] < other[axis + 2] + _GAP and other[axis] < one[axis + 2] + _GAP for axis in (0, 1))


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return a ground of a muted colour with patches and grain that no other scene has."""
    colour = rng.integers(90, 170, 3)
    patches = Image.fromarray(rng.integers(0, 256, (_GROUND_CELLS, _GROUND_CELLS)).astype(np.uint8))
    relief = np.asarray(patches.resize(size, Image.Resampling.BICUBIC), np.float32)[..., np.newaxis] / 255 - 0.5
    grain = rng.normal(0, 6, (size[1], size[0], 1))
    return Image.fromarray(np.clip(colour + 60 * relief + grain, 0, 255).astype(np.uint8))


def _draw(picture: Image.Image, thing: Thing) -> None:
    left, top, right, _ = thing.box_xyxy
    side = right - left
    mask = _outline(thing.shape, side * _FINER).resize((side, side), Image.Resampling.BOX)
    picture.paste(_fill(thing.colour, thing.texture, side), (left, top), mask)


def _outline(shape: str, side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    draw, last, third = ImageDraw.Draw(mask), side - 1, side // 3
    if shape == "square":
        draw.rectangle((0, 0, last, last), fill=255)
    elif shape == "triangle":
        draw.polygon(((side // 2, 0), (0, last), (last, last)), fill=255)
    elif shape == "cross":
        draw.rectangle((third, 0, last - third, last), fill=255)
        draw.rectangle((0, third, last, last - third), fill=255)
    else:
        draw.ellipse((0, 0, last, last), fill=255)
        if shape == "ring":
            draw.ellipse((side // 4, side // 4, last - side // 4, last - side // 4), fill=0)
    return mask


def _fill(colour: str, texture: str, side: int) -> Image.Image:
    """Return a square of the colour; what is on it is lighter, or darker on white."""
    ink = np.array(COLOURS[colour], np.float32)
    on_it = ink * 0.45 if ink.min() > 200 else ink + (255 - ink) * 0.65
    y, x = np.mgrid[:side, :side]
    step = max(3, side // 6)
    patterns = {
        "plain": np.zeros((side, side), bool),
        "striped": (x + y) // step % 2 == 1,
        "dotted": (x % (2 * step) - step) ** 2 + (y % (2 * step) - step) ** 2 < (0.6 * step) ** 2,
        "chequered": (x // step + y // step) % 2 == 1,
    }
    return Image.fromarray(np.where(patterns[texture][..., np.newaxis], on_it, ink).astype(np.uint8))


def _caption(things: list[Thing], size: tuple[int, int]) -> str:
    named = [f"{_article(thing.phrase)} {thing.phrase} at the {_place(thing, size)}" for thing in things]
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]


def _article(phrase: str) -> str:
    return "an" if phrase[0] in "aeiou" else "a"


def _place(thing: Thing, size: tuple[int, int]) -> str:
    left, top, right, bottom = thing.box_xyxy
    sides = ((top + bottom) / (2 * size[1]), ("top", "bottom")), ((left + right) / (2 * size[0]), ("left", "right"))
    return " ".join(itertools.chain(names[middle > 0.5] for middle, names in sides))
