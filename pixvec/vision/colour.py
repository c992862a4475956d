"""Pixels of any kind to upright 8-bit RGB."""

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or the EXIF data is damaged."""
    if not picture.info.keys() & {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}:
        return 1
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError):
        return 1
    return orientation if orientation in _UPRIGHT else 1


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as it is meant to be seen."""
    transpose = _UPRIGHT.get(orientation)
    return picture if transpose is None else picture.transpose(transpose)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a loaded picture of any mode as RGB, what is transparent in it white.

    Sixteen bits keep their upper eight, as Pillow does for 16-bit RGB. Modes without a defined white (32-bit integers,
    floats) are stretched from their least to their greatest value.
    """
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    if picture.mode.startswith("I;16"):
        return _upper_bits(picture).convert("RGB")
    if picture.mode in ("I", "F"):
        return _stretch(picture).convert("RGB")
    if picture.has_transparency_data:
        return _over_white(picture.convert("RGBA"))
    return picture.convert("RGB")


def _upper_bits(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    grey = (values >> 8).astype(np.uint8)
    # Pillow leaves to others the one shade that a 16-bit PNG may declare transparent.
    transparent = picture.info.get("transparency")
    return Image.fromarray(grey if transparent is None else np.where(values == transparent, np.uint8(255), grey))


def _stretch(picture: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32), posinf=0, neginf=0)
    least, greatest = float(values.min()), float(values.max())
    scaled = (values - least) * (255 / (greatest - least)) if greatest > least else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _over_white(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
