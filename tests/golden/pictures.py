"""The files that the pipeline is held to, made here from whole numbers alone: the same on every machine."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.pictures import encode

SIZE = (96, 64)
# Whose pixels hang on the release of a codec, in both directions.
LOSSY = ("jpeg", "webp", "avif", "exif")

_ORIENTATION = 0x0112
# The turn that makes, of an upright picture, the one to be stored under this orientation.
_STORED_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def plate(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return an RGB picture that looks different in every position: ramps, a disc, a chequered corner."""
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    red = 255 * x // max(1, width - 1)
    green = 255 * y // max(1, height - 1)
    disc = (4 * x - width) ** 2 + (4 * y - 2 * height) ** 2 < height**2
    chequered = (x > 2 * width // 3) & (y < height // 3) & ((x // 8 + y // 8) % 2 == 0)
    blue = np.where(disc, 255, np.where(chequered, 200, 40))
    return Image.fromarray(np.stack((red, green, blue), axis=-1).astype(np.uint8))


def files() -> dict[str, bytes]:
    """Return every case by name."""
    return dict([*_formats(), *_modes(), *_orientations(), *_animations(), *_shapes()])


def _formats() -> Iterator[tuple[str, bytes]]:
    for image_format in ("PNG", "BMP", "TIFF"):
        yield image_format.lower(), encode(plate(), image_format)
    yield "gif", encode(_palette(), "GIF")
    yield "jpeg", encode(plate(), quality=90)
    yield "jpeg-progressive", encode(plate(), quality=90, progressive=True)
    yield "jpeg-scaled", encode(plate((1200, 900)), quality=90)
    yield "webp", encode(plate(), "WEBP", quality=90)
    yield "lossless-webp", encode(plate(), "WEBP", lossless=True)
    yield "avif", encode(plate(), "AVIF", quality=90)


def _modes() -> Iterator[tuple[str, bytes]]:
    grey = plate().convert("L")
    sixteen = np.asarray(grey).astype(np.uint16) * 257
    for name, picture in (
        ("grey", grey),
        ("bilevel", grey.point(lambda value: 255 * (value > 128), "1")),
        ("16-bit", Image.fromarray(sixteen)),
        ("alpha", _translucent("RGBA")),
        ("grey-alpha", _translucent("LA")),
        ("palette", _palette()),
    ):
        yield name, encode(picture, "PNG")
    yield "16-bit-rgb", _deep_png(plate())
    yield "16-bit-tiff", encode(Image.fromarray(sixteen), "TIFF")
    yield "16-bit-transparent", encode(Image.fromarray(sixteen // 4096 * 4096), "PNG", transparency=8 * 4096)
    yield "rgb-transparent", encode(_palette().convert("RGB"), "PNG", transparency=(16, 32, 48))
    yield "palette-transparent", encode(_palette(), "PNG", transparency=1)
    yield "palette-alpha", encode(_palette(), "PNG", transparency=bytes((0, 85, 170, 255)))
    yield "float", encode(Image.fromarray(sixteen.astype(np.float32) / 65535), "TIFF")
    yield "cmyk", encode(plate().convert("CMYK"), "TIFF")
    yield "jpeg-cmyk", encode(plate().convert("CMYK"), quality=90)
    yield "jpeg-grey", encode(grey, quality=90)


def _orientations() -> Iterator[tuple[str, bytes]]:
    for orientation, turn in _STORED_BY.items():
        exif = Image.Exif()
        exif[_ORIENTATION] = orientation
        stored = plate() if turn is None else plate().transpose(turn)
        yield f"exif-{orientation}", encode(stored, quality=90, exif=exif)
        yield f"png-exif-{orientation}", encode(stored, "PNG", exif=exif)


def _animations() -> Iterator[tuple[str, bytes]]:
    second = Image.new("RGB", SIZE, "red")
    for image_format, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        first = _palette() if image_format == "GIF" else plate()
        content = encode(first, image_format, save_all=True, append_images=[second], **options)
        yield f"animated-{image_format.lower()}", content


def _shapes() -> Iterator[tuple[str, bytes]]:
    yield "1x1", encode(Image.new("RGB", (1, 1), (200, 100, 50)), "PNG")
    for size in ((20_000, 1), (1, 20_000)):
        yield "{}x{}".format(*size), encode(plate(size), "PNG")


def _deep_png(picture: Image.Image) -> bytes:
    """Return an RGB picture as a PNG of 16 bits a channel, which Pillow reads but does not write. The lower eight bits
    are not the upper ones', so that a decoder that rounds is told from one that cuts them off."""
    upper = np.asarray(picture).astype(np.uint16)
    rows = (upper << 8 | (255 - upper)).astype(">u2").reshape(picture.height, -1)
    header = struct.pack(">IIBBBBB", *picture.size, 16, 2, 0, 0, 0)
    scanlines = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _palette() -> Image.Image:
    """Return bands of four colours: chosen here, because choosing them is the library's art."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    picture = Image.frombytes("P", SIZE, ((x // 12 + y // 20) % 4).astype(np.uint8).tobytes())
    picture.putpalette((16, 32, 48, 250, 120, 10, 30, 200, 90, 120, 20, 180))
    return picture


def _translucent(mode: str) -> Image.Image:
    picture = plate().convert(mode)
    picture.putalpha(Image.fromarray(np.tile(np.arange(SIZE[0], dtype=np.uint8) * 2, (SIZE[1], 1))))
    return picture
