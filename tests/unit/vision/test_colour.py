"""Any mode becomes 8-bit RGB, what is transparent in it white."""

import io

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.colour import orientation_of, to_rgb, upright
from tests.pictures import encode

WHITE = (255, 255, 255)


def colours(picture: Image.Image) -> list[tuple[int, ...]]:
    rgb = to_rgb(picture)
    assert rgb.mode == "RGB"
    return [tuple(pixel) for pixel in np.asarray(rgb).reshape(-1, 3).tolist()]


def reopened(picture: Image.Image, image_format: str, **options: object) -> Image.Image:
    opened = Image.open(io.BytesIO(encode(picture, image_format, **options)))
    opened.load()
    return opened


def palette_of_two() -> Image.Image:
    picture = Image.frombytes("P", (2, 1), bytes((0, 1)))
    picture.putpalette((200, 10, 20, 30, 40, 50))
    return picture


def sixteen_bit(*values: int) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=np.uint16))


def test_rgb_is_left_alone() -> None:
    picture = Image.new("RGB", (2, 1), (1, 2, 3))
    assert to_rgb(picture) is picture


@pytest.mark.parametrize(
    ("mode", "colour", "rgb"),
    [("L", 77, (77, 77, 77)), ("1", 0, (0, 0, 0)), ("1", 1, WHITE), ("CMYK", (0, 255, 255, 0), (255, 0, 0))],
)
def test_plain_modes(mode: str, colour: int | tuple[int, ...], rgb: tuple[int, ...]) -> None:
    assert colours(Image.new(mode, (1, 1), colour)) == [rgb]


def test_a_palette_is_looked_up() -> None:
    assert colours(palette_of_two()) == [(200, 10, 20), (30, 40, 50)]


def test_what_is_hidden_below_full_transparency_does_not_show() -> None:
    for mode, hidden in (("RGBA", (9, 8, 7, 0)), ("LA", (9, 0)), ("PA", (0, 0))):
        assert colours(Image.new(mode, (1, 1), hidden)) == [WHITE], mode


def test_what_shines_through_is_mixed_with_white() -> None:
    assert colours(Image.new("RGBA", (1, 1), (0, 0, 0, 51))) == [(204, 204, 204)]


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(image_format: str) -> None:
    assert colours(reopened(palette_of_two(), image_format, transparency=1)) == [(200, 10, 20), WHITE]


def test_palette_entries_with_alpha_of_their_own() -> None:
    half = reopened(palette_of_two(), "PNG", transparency=bytes((0, 255)))
    assert colours(half) == [WHITE, (30, 40, 50)]


@pytest.mark.parametrize(("mode", "shade"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 0)])
def test_a_shade_declared_transparent_is_white(mode: str, shade: int | tuple[int, ...]) -> None:
    assert colours(reopened(Image.new(mode, (1, 1), shade), "PNG", transparency=shade)) == [WHITE]


def test_sixteen_bits_keep_their_upper_eight() -> None:
    assert colours(sixteen_bit(0, 255, 256, 0x1234, 0xFFFF)) == [(v, v, v) for v in (0, 0, 1, 0x12, 255)]
    swapped = Image.frombytes("I;16B", (1, 1), b"\x12\x34")
    assert colours(swapped) == [(0x12, 0x12, 0x12)]


def test_of_sixteen_bits_only_the_very_shade_declared_transparent_is_white() -> None:
    picture = reopened(sixteen_bit(0x1234, 0x1235), "PNG", transparency=0x1234)
    assert picture.mode == "I;16"
    assert colours(picture) == [WHITE, (0x12, 0x12, 0x12)]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_modes_without_a_white_are_stretched(dtype: type) -> None:
    picture = Image.fromarray(np.array([[-100, 0, 100]], dtype=dtype))
    assert colours(picture) == [(0, 0, 0), (128, 128, 128), WHITE]


def test_a_flat_or_infinite_picture_without_a_white_is_still_a_picture() -> None:
    assert colours(Image.fromarray(np.full((1, 1), 5.0, dtype=np.float32))) == [(0, 0, 0)]
    wild = Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 10.0]], dtype=np.float32))
    assert colours(wild) == [(0, 0, 0)] * 3 + [WHITE]


def test_orientation_of_a_picture_without_exif() -> None:
    assert orientation_of(Image.new("RGB", (1, 1))) == 1


def test_upright_moves_the_corner_where_exif_says_it_is() -> None:
    # Rows and columns of where the stored picture's first pixel is seen: EXIF 2.32, tag 0x0112.
    seen_at = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}
    stored = Image.new("L", (3, 2))
    stored.putpixel((0, 0), 255)
    for orientation, place in seen_at.items():
        turned = np.asarray(upright(stored, orientation))
        assert np.argwhere(turned).tolist() == [list(place)], orientation
        assert turned.shape == ((2, 3) if orientation < 5 else (3, 2))
