"""Pictures for tests, made from a seed: coloured shapes on a textured ground, each unlike the others."""

import io

import numpy as np
from PIL import Image, ImageDraw


def make_picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Return an RGB picture of (width, height) pixels."""
    rng = np.random.default_rng(seed)
    width, height = size
    ground = rng.integers(0, 256, 3)
    texture = rng.normal(0, 12, (height, width, 1))
    picture = Image.fromarray(np.clip(ground + texture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 10))):
        x, y = rng.integers(0, width), rng.integers(0, height)
        reach = int(rng.integers(8, max(width, height) // 3))
        box = [x - reach, y - reach // 2, x + reach, y + reach]
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([int(side) for side in box], fill=tuple(int(c) for c in rng.integers(0, 256, 3)))
    return picture


def encode(picture: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    """Return the picture as a file."""
    out = io.BytesIO()
    picture.save(out, image_format, **options)
    return out.getvalue()


def make_jpeg(seed: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """Return one of the made pictures as a JPEG file."""
    return encode(make_picture(seed, size), quality=90)


def reopened(picture: Image.Image, *, quality: int) -> Image.Image:
    """Return the picture as it comes back from a JPEG file."""
    return Image.open(io.BytesIO(encode(picture, quality=quality))).convert("RGB")
