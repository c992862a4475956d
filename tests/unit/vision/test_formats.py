"""A file is what its first bytes say, and a short one is known by its missing end."""

import pytest

from pixvec.vision.formats import ALLOWED, ends_early, sniff
from tests.pictures import encode, make_picture

PICTURE = make_picture(1, (48, 32))
PRESCRIBE_AN_END = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def ftyp(brand: bytes, *compatible: bytes) -> bytes:
    box = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(box) + 4).to_bytes(4, "big") + box + bytes(40)


@pytest.mark.parametrize("image_format", ALLOWED)
def test_every_allowed_format_is_known_by_its_first_bytes(image_format: str) -> None:
    assert sniff(encode(PICTURE, image_format)[:64]) == image_format


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"GIF87a", "GIF"),
        (b"MM\x00*", "TIFF"),
        (b"II+\x00", "TIFF"),
        (b"MM\x00+", "TIFF"),
        (b"8BPS\x00\x01", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe", "PostScript"),
        (b"\x00\x00\x01\x00\x01\x00", "Windows icon"),
        (b"\x00\x00\x00\x0cjP  \r\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"\x00\x00\x00\x0cJXL \r\n", "JPEG XL"),
        (b"\xff\x0a", "JPEG XL"),
        (b"v/1\x01", "OpenEXR"),
        (b"DDS |", "DDS"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"qoif", "QOI"),
        (b"gimp xcf file", "GIMP"),
        (b'<?xml version="1.0"?><SVG xmlns="http://www.w3.org/2000/svg">', "SVG"),
        (ftyp(b"avif"), "AVIF"),
        (ftyp(b"avis", b"msf1"), "AVIF"),
        (ftyp(b"mif1", b"avif", b"miaf"), "AVIF"),
        (ftyp(b"heic", b"mif1"), "HEIC"),
        (ftyp(b"isom", b"mp42"), "video"),
    ],
)
def test_other_formats_are_called_by_their_names(content: bytes, name: str) -> None:
    assert sniff(content) == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8",
        b"\x89PNG",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"BMW makes cars, and this is a text about them",
        b"plain text",
        bytes(200),
    ],
    ids=["empty", "half a JPEG mark", "half a PNG mark", "sound", "text from BM", "text", "zeros"],
)
def test_bytes_of_no_known_format_have_no_name(content: bytes) -> None:
    assert sniff(content) == ""


def test_a_brand_counts_only_inside_its_box() -> None:
    assert sniff(ftyp(b"isom") + b"avif") == "video"


@pytest.mark.parametrize("image_format", PRESCRIBE_AN_END)
def test_a_whole_file_does_not_end_early_and_half_of_it_does(image_format: str) -> None:
    content = encode(PICTURE, image_format)
    assert not ends_early(content, image_format)
    assert ends_early(content[: len(content) // 2], image_format)


@pytest.mark.parametrize("image_format", ["WEBP", "BMP"])
def test_formats_that_tell_their_length_miss_the_last_byte(image_format: str) -> None:
    assert ends_early(encode(PICTURE, image_format)[:-1], image_format)


def test_bytes_behind_the_end_do_no_harm() -> None:
    for image_format in ("JPEG", "PNG"):
        assert not ends_early(encode(PICTURE, image_format) + b"\n" * 1000, image_format)


def test_formats_without_a_prescribed_end_never_end_early() -> None:
    assert not any(ends_early(b"", image_format) for image_format in set(ALLOWED) - set(PRESCRIBE_AN_END))
