"""The one way from a file's bytes to pixels: deterministic, limited, and strict about what it takes.

Whoever calls adds the picture's name to the errors; here only its bytes are known. Runs in the decoder processes, so it
imports no model library.
"""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import simplejpeg
from PIL import Image, UnidentifiedImageError

from pixvec.errors import (
    PictureEmpty,
    PictureError,
    PictureFormatNotAllowed,
    PictureNotRecognised,
    PictureTooLarge,
    PictureTruncated,
    PictureUndecodable,
)
from pixvec.vision.colour import orientation_of, to_rgb, upright
from pixvec.vision.formats import ALLOWED, ends_early, sniff
from pixvec.vision.perceptual_hash import perceptual_hash
from pixvec.vision.preprocess import AnyPreprocess, Pixels

# Part of every model's digest: to be raised with any change that moves pixels.
DECODE_VERSION = 1

_DAMAGE = (OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, RuntimeError, struct.error)
# Hashes of the same picture decoded smaller than this differ by what the scaling leaves of it.
_HASHED_SIDE = 128
_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

# Ours is checked first, from the header; Pillow's only warns where it matters.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a picture may measure at most: bytes of the file, pixels by its header."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 40_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: uint8 RGB pixels as the model takes them, and the size in pixels of the upright original.
    `perceptual_hash`: of the whole picture, None where it was not asked for or there is too little to be seen."""

    pixels: Pixels
    width: int
    height: int
    format: str
    perceptual_hash: int | None = None


def decode(content: bytes, preprocess: AnyPreprocess, limits: DecodeLimits, *, hashed: bool = False) -> Picture:
    """Return the pixels that a model takes. Raises a PictureError that says what is wrong with the file."""
    picture, image_format, size = _load(content, limits, preprocess.resize)
    looks = _looks(content, picture, preprocess.resize, limits) if hashed else None
    return Picture(preprocess.apply(picture), *size, image_format, looks)


def _looks(content: bytes, picture: Image.Image, decoded_side: int, limits: DecodeLimits) -> int | None:
    """Return the hash, of the picture as it was decoded unless that is too small to be told by."""
    if decoded_side < _HASHED_SIDE:
        picture, _, _ = _load(content, limits, _HASHED_SIDE)
    return perceptual_hash(picture)


def render_thumbnail(content: bytes, max_side: int, limits: DecodeLimits) -> bytes:
    """Return an upright JPEG of at most `max_side` pixels a side, never larger than the original.

    Raises a PictureError that says what is wrong with the file.
    """
    picture, _, (width, height) = _load(content, limits, max_side)
    scale = min(1.0, max_side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    thumbnail = io.BytesIO()
    picture.resize(size, Image.Resampling.BILINEAR).save(thumbnail, "JPEG", quality=85)
    return thumbnail.getvalue()


def _load(content: bytes, limits: DecodeLimits, least_side: int) -> tuple[Image.Image, str, tuple[int, int]]:
    """Return the upright RGB picture, its format, and the (width, height) of the upright original.

    A JPEG may come scaled down, to no less than `least_side` pixels on its short side.
    """
    image_format = checked_format(content, limits)
    try:
        with warnings.catch_warnings():
            # Libraries warn of oddities in files; what cannot be decoded raises.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=(image_format,)) as opened:
                _check_pixels(opened.size, image_format, limits)
                return _render(opened, content, image_format, least_side)
    except MemoryError as error:
        raise PictureUndecodable("decoding it needs more memory than a decoder is given: shrink the picture") from error
    except (*_DAMAGE, zlib.error) as error:
        raise _damage(content, image_format, error) from error


def checked_format(content: bytes, limits: DecodeLimits) -> str:
    """Return the format, by the first bytes. Raises the PictureErrors that need no decoding."""
    if not content:
        raise PictureEmpty("the file is empty (0 bytes): send the picture again")
    if len(content) > limits.max_bytes:
        raise PictureTooLarge(
            f"the file has {len(content):,} bytes, the limit is {limits.max_bytes:,}: shrink or re-compress it"
        )
    image_format = sniff(content)
    if not image_format:
        raise PictureNotRecognised(f"its bytes are of no known image format: send {_FORMATS}")
    if image_format not in ALLOWED:
        raise PictureFormatNotAllowed(
            f"it is in {image_format} format, which is not accepted: convert it to {_FORMATS}"
        )
    return image_format


def _check_pixels(size: tuple[int, int], image_format: str, limits: DecodeLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise PictureTooLarge(
            f"this {image_format} file declares {width} x {height} = {width * height / 1e6:.1f} megapixels, "
            f"the limit is {limits.max_pixels / 1e6:g}: shrink it"
        )


def _render(
    opened: Image.Image, content: bytes, image_format: str, least_side: int
) -> tuple[Image.Image, str, tuple[int, int]]:
    width, height = opened.size
    if image_format == "JPEG" and opened.mode in ("RGB", "L"):
        orientation = orientation_of(opened)
        picture = _decode_jpeg(opened, content, least_side)
    else:
        opened.load()
        # Read after loading: some plugins turn the picture themselves, and take the tag away.
        orientation = orientation_of(opened)
        picture = to_rgb(opened)
        width, height = opened.size
    if orientation >= 5:
        width, height = height, width
    return upright(picture, orientation), image_format, (width, height)


def _decode_jpeg(opened: Image.Image, content: bytes, least_side: int) -> Image.Image:
    """Decode at a half, a quarter or an eighth where that is enough; other scales are slower than none."""
    smaller = min(opened.size) >= 2 * least_side
    least = {"min_height": least_side, "min_width": least_side, "min_factor": 2} if smaller else {}
    try:
        return Image.fromarray(simplejpeg.decode_jpeg(content, "RGB", **least))
    except ValueError as error:
        if "remature end of JPEG" in str(error):
            raise
    # Damage that viewers shrug off, such as stray bytes between the scans: so does Pillow.
    if smaller:
        scale = least_side / min(opened.size)
        opened.draft("RGB", (int(opened.width * scale) + 1, int(opened.height * scale) + 1))
    return opened.convert("RGB")


def _damage(content: bytes, image_format: str, error: Exception) -> PictureError:
    # What Pillow says of a header is the address of an object.
    cause = "its header makes no sense" if isinstance(error, UnidentifiedImageError) else str(error)
    if "truncated" in cause.lower() or "remature end of JPEG" in cause or ends_early(content, image_format):
        return PictureTruncated(
            f"this {image_format} file ends before its picture does, at byte {len(content):,}: send it again in full"
        )
    return PictureUndecodable(f"this {image_format} file is damaged and cannot be decoded ({cause}): send it again")
