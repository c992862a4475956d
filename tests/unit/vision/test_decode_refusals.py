"""What is no picture, or too much of one, is refused with an error that says so; nothing else is ever raised."""

import struct
import zlib

import numpy as np
import pytest
import simplejpeg

from pixvec.errors import (
    PictureEmpty,
    PictureError,
    PictureFormatNotAllowed,
    PictureNotRecognised,
    PictureTooLarge,
    PictureTruncated,
    PictureUndecodable,
)
from pixvec.vision.decode import DecodeLimits, checked_format, decode, render_thumbnail
from pixvec.vision.formats import ALLOWED
from pixvec.vision.preprocess import Fit, Preprocess
from tests.pictures import encode, make_picture

PICTURE = make_picture(1, (96, 64))
SMALL = Preprocess(16, 16, Fit.SQUASH)
LIMITS = DecodeLimits(max_bytes=100_000, max_pixels=96 * 64)


def refused(content: bytes, error: type[PictureError], match: str, limits: DecodeLimits = LIMITS) -> None:
    for attempt in (lambda: decode(content, SMALL, limits), lambda: render_thumbnail(content, 32, limits)):
        with pytest.raises(error, match=match) as caught:
            attempt()
        assert type(caught.value) is error


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + bytes(4) + b"IDAT"


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif_header(width: int, height: int) -> bytes:
    palette_of_two = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + palette_of_two + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08"


def test_no_bytes() -> None:
    refused(b"", PictureEmpty, "0 bytes")


@pytest.mark.parametrize("content", [b"not a picture", b"\x00" * 500, b"<html><h1>404</h1></html>"])
def test_bytes_that_are_no_picture(content: bytes) -> None:
    refused(content, PictureNotRecognised, "no known image format: send JPEG, PNG")


@pytest.mark.parametrize(
    ("content", "name"), [(b"%PDF-1.7", "PDF"), (b"<svg/>", "SVG"), (b"\x00\x00\x01\x00\x01\x00", "Windows icon")]
)
def test_formats_outside_the_list(content: bytes, name: str) -> None:
    refused(content, PictureFormatNotAllowed, f"{name} format.*convert it")


def test_too_many_bytes_by_one() -> None:
    content = encode(PICTURE)
    exact = DecodeLimits(max_bytes=len(content))
    assert checked_format(content, exact) == "JPEG"
    less = DecodeLimits(max_bytes=len(content) - 1)
    refused(content, PictureTooLarge, f"{len(content):,} bytes, the limit is {less.max_bytes:,}", less)


@pytest.mark.parametrize("image_format", ALLOWED)
def test_too_many_pixels_by_one(image_format: str) -> None:
    assert decode(encode(PICTURE, image_format), SMALL, LIMITS).width == 96
    wider = PICTURE.resize((97, 64))
    refused(encode(wider, image_format), PictureTooLarge, f"{image_format} file declares 97 x 64")


@pytest.mark.parametrize("header", [png_header, bmp_header, gif_header])
def test_a_bomb_is_refused_by_its_header(header) -> None:
    # There is nothing to decode in these: whoever looked further would find them truncated.
    refused(
        header(13_300, 13_300), PictureTooLarge, "13300 x 13300 = 176.9 megapixels, the limit is 40", DecodeLimits()
    )
    with pytest.raises((PictureTruncated, PictureUndecodable)):
        decode(header(64, 64), SMALL, DecodeLimits())


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_cut_short_is_truncated(image_format: str, share: float) -> None:
    content = encode(PICTURE, image_format)
    cut = content[: int(share * len(content))]
    refused(cut, PictureTruncated, f"{image_format} file ends .* byte {len(cut):,}: send it again in full")


def test_a_cut_avif_is_refused_too() -> None:
    content = encode(PICTURE, "AVIF")
    with pytest.raises((PictureTruncated, PictureUndecodable)):
        decode(content[: len(content) // 2], SMALL, LIMITS)


def test_a_scaled_jpeg_cut_short_is_truncated() -> None:
    content = encode(make_picture(2, (800, 600)), quality=95)
    with pytest.raises(PictureTruncated):
        decode(content[: len(content) // 2], SMALL, DecodeLimits())


def test_damage_is_told_without_the_addresses_of_objects() -> None:
    nonsense = b"RIFF" + struct.pack("<I", 24) + b"WEBP" + b"nonsense" + bytes(12)
    refused(nonsense, PictureUndecodable, r"damaged and cannot be decoded \([^<>]+\): send it again")


def test_short_of_memory_is_the_pictures_fault_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(simplejpeg, "decode_jpeg", exhausted)
    refused(encode(PICTURE), PictureUndecodable, "more memory than a decoder is given")


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(0, min(len(content), 600), int(rng.integers(1, 6))):
        damaged[place] = int(rng.integers(0, 256))
    return bytes(damaged)


@pytest.mark.parametrize("image_format", ALLOWED)
def test_damage_of_any_kind_ends_in_a_picture_or_a_picture_error(image_format: str) -> None:
    rng = np.random.default_rng(ALLOWED.index(image_format))
    content = encode(PICTURE, image_format)
    refusals = 0
    for _ in range(100):
        damaged = damage(content, rng)
        try:
            assert decode(damaged, SMALL, LIMITS).pixels.shape == (16, 16, 3)
        except PictureError:
            refusals += 1
    assert refusals
