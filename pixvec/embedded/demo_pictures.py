"""Pictures for a first try: scenes painted from a seed, and the photographs that scikit-image carries with it."""

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 480
SCENES = 120
# Of scikit-image's package data, what is a photograph; the query of the demo is made from the first one that is there.
PHOTOGRAPHS = (
    "coffee.png",
    "astronaut.png",
    "chelsea.png",
    "rocket.jpg",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "ihc.png",
)

Colour = tuple[int, int, int]
Rng = np.random.Generator
Scene = Callable[[Rng], Image.Image]


def write_demo_pictures(folder: Path) -> Path:
    """Write the demo's pictures below `folder`, the same on every machine, and return the one to search for."""
    folder.mkdir(parents=True, exist_ok=True)
    photographs = list(_copy_photographs(folder))
    scenes = list(_paint_scenes(folder))
    return (photographs or scenes)[0]


def _copy_photographs(folder: Path) -> Iterator[Path]:
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        return
    for name in PHOTOGRAPHS:
        source = Path(package.origin).parent / "data" / name
        if source.exists():
            target = folder / name
            target.write_bytes(source.read_bytes())
            yield target


def _paint_scenes(folder: Path) -> Iterator[Path]:
    # Pillow and numpy let go of the interpreter's lock: threads share the work.
    with ThreadPoolExecutor() as threads:
        yield from threads.map(lambda number: _paint(folder, number), range(SCENES))


def _paint(folder: Path, number: int) -> Path:
    scene = SCENE_KINDS[number % len(SCENE_KINDS)]
    target = folder / f"{scene.__name__.removeprefix('_')}-{number:03d}.jpg"
    scene(np.random.default_rng(number)).save(target, "JPEG", quality=90)
    return target


def _landscape(rng: Rng) -> Image.Image:
    """Paint hills before a sky, with a sun or a moon."""
    picture = _gradient(_colour(rng, 120, 255), _colour(rng, 60, 220))
    draw = ImageDraw.Draw(picture)
    x, y, radius = _whole(rng, 60, 580), _whole(rng, 40, 180), _whole(rng, 20, 60)
    draw.ellipse(_around(x, y, radius), fill=_colour(rng, 200, 256))
    for layer in range(_whole(rng, 2, 5)):
        base = 200 + 70 * layer + _whole(rng, -20, 20)
        ridge = base + _hills(rng) * rng.uniform(20, 70)
        outline = [*zip(range(WIDTH), ridge.tolist(), strict=True), (WIDTH, HEIGHT), (0, HEIGHT)]
        draw.polygon(outline, fill=_colour(rng, 20, 160 - 30 * layer))
    return _grain(picture, rng)


def _poster(rng: Rng) -> Image.Image:
    """Paint plain shapes on a plain ground."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), _colour(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(_whole(rng, 4, 14)):
        x, y, radius = _whole(rng, 0, WIDTH), _whole(rng, 0, HEIGHT), _whole(rng, 20, 140)
        shape = _whole(rng, 0, 3)
        if shape == 0:
            draw.ellipse(_around(x, y, radius), fill=_colour(rng))
        elif shape == 1:
            draw.rectangle(_around(x, y, radius), fill=_colour(rng), outline=_colour(rng), width=6)
        else:
            sides = _whole(rng, 3, 8)
            draw.regular_polygon((x, y, radius), sides, _whole(rng, 0, 90), fill=_colour(rng))
    return _grain(picture, rng)


def _garden(rng: Rng) -> Image.Image:
    """Paint flowers in a meadow."""
    picture = _gradient(_colour(rng, 90, 200), (_whole(rng, 20, 80), _whole(rng, 90, 160), 40))
    draw = ImageDraw.Draw(picture)
    petal, heart = _colour(rng, 120, 256), _colour(rng, 150, 256)
    for _ in range(_whole(rng, 8, 30)):
        x, y = _whole(rng, 0, WIDTH), _whole(rng, 120, HEIGHT)
        size = 8 + y // 14
        draw.line([x, y, x, HEIGHT], fill=(30, 110, 40), width=4)
        for angle in np.linspace(0, 2 * np.pi, _whole(rng, 5, 9), endpoint=False):
            draw.ellipse(_around(x + size * np.cos(angle), y + size * np.sin(angle), size * 0.7), fill=petal)
        draw.ellipse(_around(x, y, size * 0.6), fill=heart)
    return _grain(picture, rng)


def _city(rng: Rng) -> Image.Image:
    """Paint a skyline with lit windows."""
    picture = _gradient(_colour(rng, 0, 120), _colour(rng, 60, 255))
    draw = ImageDraw.Draw(picture)
    lit = _colour(rng, 180, 256)
    left = 0
    while left < WIDTH:
        width, height = _whole(rng, 40, 110), _whole(rng, 120, 400)
        draw.rectangle([left, HEIGHT - height, left + width, HEIGHT], fill=_colour(rng, 10, 90))
        for x in range(left + 8, left + width - 12, 18):
            for y in range(HEIGHT - height + 10, HEIGHT - 10, 22):
                if rng.random() < 0.6:
                    draw.rectangle([x, y, x + 8, y + 12], fill=lit)
        left += width + _whole(rng, 0, 12)
    return _grain(picture, rng)


def _fabric(rng: Rng) -> Image.Image:
    """Weave two waves of colour into each other."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    angle, length = rng.uniform(0, np.pi), rng.uniform(18, 90)
    warp = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / length)
    weft = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / (length * rng.uniform(0.4, 2)))
    share = ((warp * weft + 1) / 2)[..., None]
    return _grain(_image(share * np.array(_colour(rng)) + (1 - share) * np.array(_colour(rng))), rng)


SCENE_KINDS: tuple[Scene, ...] = (_landscape, _poster, _garden, _city, _fabric)


def _colour(rng: Rng, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = rng.integers(low, max(high, low + 1), 3).tolist()
    return red, green, blue


def _whole(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high))


def _around(x: float, y: float, radius: float) -> list[float]:
    return [float(x - radius), float(y - radius), float(x + radius), float(y + radius)]


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    share = np.linspace(0, 1, HEIGHT)[:, None, None]
    column = (1 - share) * np.array(top) + share * np.array(bottom)
    return _image(np.broadcast_to(column, (HEIGHT, WIDTH, 3)))


def _hills(rng: Rng) -> npt.NDArray[np.float64]:
    """Return a smooth line of WIDTH heights around 0."""
    x = np.arange(WIDTH)
    waves = (np.sin(x * 2 * np.pi / rng.uniform(80, 600) + rng.uniform(0, 6)) * rng.uniform(0.2, 1) for _ in range(4))
    heights: npt.NDArray[np.float64] = np.sum(list(waves), axis=0)
    return heights


def _grain(picture: Image.Image, rng: Rng) -> Image.Image:
    """Soften the edges and add the noise of a camera."""
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), np.float64)
    return _image(soft + rng.normal(0, 5, (HEIGHT, WIDTH, 1)))


def _image(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
