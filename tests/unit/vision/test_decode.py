"""What is in a file is what comes out, upright and in RGB, whatever the format and the way it is packed."""

import numpy as np
import pytest
from PIL import Image

from pixvec.vision.decode import DecodeLimits, decode
from pixvec.vision.formats import ALLOWED
from pixvec.vision.preprocess import Fit, Preprocess
from tests.pictures import encode, make_picture

SIZE = (96, 64)
PICTURE = make_picture(3, SIZE)
LIMITS = DecodeLimits()
# The picture as it is, so that its own pixels are the truth.
WHOLE = Preprocess(32, 32, Fit.SQUASH)
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF")
# What turns a picture back whose file carries this EXIF orientation: EXIF 2.32, tag 0x0112.
MADE_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def pixels_of(content: bytes) -> np.ndarray:
    return decode(content, WHOLE, LIMITS).pixels


def truth(picture: Image.Image) -> np.ndarray:
    return WHOLE.apply(picture.convert("RGB"))


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def turned(orientation: int, image_format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = MADE_BY[orientation]
    return encode(PICTURE if turn is None else PICTURE.transpose(turn), image_format, exif=exif)


@pytest.mark.parametrize("image_format", ALLOWED)
def test_every_allowed_format_decodes(image_format: str) -> None:
    source = PICTURE.quantize() if image_format == "GIF" else PICTURE
    picture = decode(encode(source, image_format), WHOLE, LIMITS)
    assert (picture.format, picture.width, picture.height) == (image_format, *SIZE)
    assert (picture.pixels.dtype, picture.pixels.shape) == (np.uint8, (32, 32, 3))
    assert apart(picture.pixels, truth(source)) <= (0 if image_format in LOSSLESS else 4)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", MADE_BY)
def test_a_picture_stands_upright_whatever_its_exif_orientation(orientation: int, image_format: str) -> None:
    picture = decode(turned(orientation, image_format), WHOLE, LIMITS)
    assert (picture.width, picture.height) == SIZE
    assert apart(picture.pixels, truth(PICTURE)) < 4


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels_of(encode(PICTURE, "PNG", exif=exif)), truth(PICTURE))


@pytest.mark.parametrize(
    "exif", [b"MM\x00*\x00\x00\xff\xff\xff\xff", b"MM\x00*\x00\x00\x00\x08\x00\x01", b"no EXIF at all"]
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_damaged_exif_turns_nothing_and_spoils_nothing(image_format: str, exif: bytes) -> None:
    damaged = encode(PICTURE, image_format, exif=b"Exif\x00\x00" + exif)
    assert np.array_equal(pixels_of(damaged), pixels_of(encode(PICTURE, image_format)))


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_many_frames_the_first_counts(image_format: str) -> None:
    frames = [make_picture(seed, SIZE).quantize() for seed in (5, 6)]
    options = {"lossless": True} if image_format == "WEBP" else {}
    content = encode(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(pixels_of(content), truth(frames[0]))


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_keeps_its_colours(image_format: str) -> None:
    assert apart(pixels_of(encode(PICTURE.convert("CMYK"), image_format)), truth(PICTURE)) < 4


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0}, {"quality": 100, "subsampling": 2}])
def test_jpegs_of_every_make(options: dict[str, object]) -> None:
    assert apart(pixels_of(encode(PICTURE, **options)), truth(PICTURE)) < 4


def test_a_grey_jpeg_becomes_rgb() -> None:
    assert apart(pixels_of(encode(PICTURE.convert("L"))), truth(PICTURE.convert("L"))) < 2


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    assert np.array_equal(pixels_of(encode(PICTURE, "TIFF", compression=compression)), truth(PICTURE))


@pytest.mark.parametrize("preprocess", [WHOLE, Preprocess(232, 224)], ids=["squash", "crop"])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
def test_no_shape_is_too_odd(size: tuple[int, int], image_format: str, preprocess: Preprocess) -> None:
    picture = decode(encode(Image.new("RGB", size, (10, 200, 30)), image_format), preprocess, LIMITS)
    assert (picture.width, picture.height) == size
    assert picture.pixels.shape == (preprocess.crop, preprocess.crop, 3)
    assert apart(picture.pixels, np.array((10, 200, 30))) < 2


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_decoded_small_looks_as_if_decoded_whole(orientation: int) -> None:
    large = make_picture(8, (1200, 900))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(large.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else large, exif=exif, quality=95)
    preprocess = Preprocess(232, 224)
    picture = decode(content, preprocess, LIMITS)
    assert (picture.width, picture.height) == large.size
    assert apart(picture.pixels, preprocess.apply(large)) < 2


def test_a_jpeg_that_viewers_put_up_with_is_put_up_with() -> None:
    content = encode(PICTURE, quality=95)
    scan = content.index(b"\xff\xda")
    stray = content[:scan] + bytes(7) + content[scan:]
    assert apart(pixels_of(stray), truth(PICTURE)) < 4


def test_the_same_bytes_give_the_same_pixels() -> None:
    content = encode(PICTURE, "WEBP")
    assert np.array_equal(pixels_of(content), pixels_of(content))
