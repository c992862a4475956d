"""Pictures decoded in processes are those decoded in place, and so are the refusals."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from pixvec.domain import Box
from pixvec.errors import (
    BoxOutside,
    PictureEmpty,
    PictureError,
    PictureFormatNotAllowed,
    PictureNotRecognised,
    PictureTooLarge,
    PictureTruncated,
    PictureUndecodable,
)
from pixvec.vision.decode import DecodeLimits, decode, render_thumbnail
from pixvec.vision.perceptual_hash import distance, perceptual_hash
from pixvec.vision.preprocess import (
    MOST_DETECTOR_SIDE,
    AnyPreprocess,
    BoxPreprocess,
    DetectorPreprocess,
    Fit,
    Preprocess,
)
from tests.pictures import encode, make_jpeg, make_picture
from tests.scenes import make_scene
from workers.decode_pool import DecodePool, Decoder, InlineDecoder

LIMITS = DecodeLimits(max_bytes=200_000, max_pixels=200_000)
SQUARE = Preprocess(128, 128, Fit.SQUASH)
PREPROCESSES = [
    Preprocess(232, 224),
    SQUARE,
    DetectorPreprocess(100, 144),
    BoxPreprocess(Box(10.5, 20, 90, 200), SQUARE),
]
LIMIT_S = 30


@pytest.fixture(scope="module", params=["inline", "pool"])
def decoder(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    decoder: Decoder = InlineDecoder(LIMITS) if request.param == "inline" else DecodePool(2, LIMITS)
    decoder.start()
    yield decoder
    decoder.close()


@pytest.mark.parametrize("preprocess", PREPROCESSES, ids=["crop", "squash", "detector", "box"])
@pytest.mark.parametrize("priority", [True, False])
def test_pixels_size_and_format(decoder: Decoder, preprocess: AnyPreprocess, priority: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = [make_jpeg(1), encode(make_picture(2), "PNG"), encode(make_picture(3), "WEBP", exif=exif)]
    futures = [decoder.decode(content, preprocess, priority=priority) for content in contents]
    for future, content in zip(futures, contents, strict=True):
        found, truth = future.result(LIMIT_S), decode(content, preprocess, LIMITS)
        assert np.array_equal(found.pixels, truth.pixels)
        assert (found.width, found.height, found.format) == (truth.width, truth.height, truth.format)


@pytest.mark.parametrize("preprocess", PREPROCESSES, ids=["crop", "squash", "detector", "box"])
def test_the_hash_is_of_the_whole_upright_picture(decoder: Decoder, preprocess: AnyPreprocess) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    scene = make_scene(5, (320, 240)).picture
    contents = [encode(scene), encode(scene.rotate(90, expand=True), exif=turned)]
    hashes = [decoder.decode(each, preprocess, hashed=True).result(LIMIT_S).perceptual_hash for each in contents]
    truth = perceptual_hash(scene)
    assert truth is not None
    assert all(each is not None and distance(each, truth) <= 3 for each in hashes)
    assert decoder.decode(contents[0], preprocess).result(LIMIT_S).perceptual_hash is None
    plain = encode(Image.new("RGB", (320, 240)))
    assert decoder.decode(plain, preprocess, hashed=True).result(LIMIT_S).perceptual_hash is None


def test_a_detector_is_given_pictures_in_their_own_shapes(decoder: Decoder) -> None:
    sizes = [(160, 120), (120, 160), (1, 1), (2000, 1)]
    pictures = [decoder.decode(encode(Image.new("L", size)), DetectorPreprocess(100, 144)) for size in sizes]
    shapes = [picture.result(LIMIT_S).pixels.shape for picture in pictures]
    assert shapes == [(100, 133, 3), (133, 100, 3), (1, 1, 3), (1, 144, 3)]


def test_a_box_outside_the_picture_is_refused(decoder: Decoder) -> None:
    outside = BoxPreprocess(Box(160, 0, 200, 50), SQUARE)
    with pytest.raises(BoxOutside, match="160 x 120 pixels when upright"):
        decoder.decode(make_jpeg(1), outside).result(LIMIT_S)
    assert decoder.decode(make_jpeg(1), SQUARE).result(LIMIT_S).width == 160


def test_the_largest_pixels_that_a_detector_may_take_fit(decoder: Decoder) -> None:
    largest = DetectorPreprocess(MOST_DETECTOR_SIDE, MOST_DETECTOR_SIDE)
    side = MOST_DETECTOR_SIDE
    limits = DecodeLimits(max_bytes=200_000, max_pixels=side * side)
    own: Decoder = InlineDecoder(limits) if isinstance(decoder, InlineDecoder) else DecodePool(1, limits)
    own.start()
    try:
        picture = own.decode(encode(Image.new("1", (side, side), 1), "PNG"), largest).result(LIMIT_S)
        assert picture.pixels.shape == (side, side, 3)
        assert picture.pixels.all()
    finally:
        own.close()


def test_pixels_stay_as_they_were_when_the_next_picture_comes(decoder: Decoder) -> None:
    first = decoder.decode(make_jpeg(1), PREPROCESSES[0]).result(LIMIT_S)
    for seed in range(2, 6):
        decoder.decode(make_jpeg(seed), PREPROCESSES[0]).result(LIMIT_S)
    assert np.array_equal(first.pixels, decode(make_jpeg(1), PREPROCESSES[0], LIMITS).pixels)


@pytest.mark.parametrize("max_side", [1, 64, 2048])
def test_thumbnails(decoder: Decoder, max_side: int) -> None:
    content = encode(make_picture(1), "PNG")
    assert decoder.thumbnail(content, max_side).result(LIMIT_S) == render_thumbnail(content, max_side, LIMITS)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", PictureEmpty),
        (b"no picture", PictureNotRecognised),
        (b"%PDF-1.7", PictureFormatNotAllowed),
        (b"\xff\xd8\xff" + bytes(LIMITS.max_bytes), PictureTooLarge),
        (encode(Image.new("1", (500, 401)), "PNG"), PictureTooLarge),
        (make_jpeg(1)[:2000], PictureTruncated),
        (b"\xff\xd8\xff" + bytes(90) + b"\xff\xd9", PictureUndecodable),
    ],
    ids=["empty", "no picture", "PDF", "too many bytes", "too many pixels", "truncated", "damaged"],
)
def test_refusals_are_those_of_decoding_word_for_word(
    decoder: Decoder, content: bytes, error: type[PictureError]
) -> None:
    with pytest.raises(error) as truth:
        decode(content, PREPROCESSES[0], LIMITS)
    for future in (decoder.decode(content, PREPROCESSES[0]), decoder.thumbnail(content, 64)):
        found = future.exception(LIMIT_S)
        assert type(found) is error
        assert found.message == truth.value.message


def test_a_refusal_does_not_spoil_the_next_picture(decoder: Decoder) -> None:
    bad, good = decoder.decode(make_jpeg(1)[:2000], PREPROCESSES[0]), decoder.decode(make_jpeg(1), PREPROCESSES[0])
    assert isinstance(bad.exception(LIMIT_S), PictureTruncated)
    assert good.result(LIMIT_S).width == 160
