"""Pictures to measure with: a folder of the caller's, or photograph-like ones made here."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

_SUFFIXES = {".jpg", ".jpeg"}


def load_pictures(folder: Path | None, count: int) -> list[bytes]:
    """Return `count` JPEG files: those of `folder`, repeated if need be, or made ones of 500×375 and about 100 KB."""
    if folder is None:
        return [_photograph(seed) for seed in range(count)]
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)[:count]
    if not files:
        raise SystemExit(f"{folder} holds no JPEG files.")
    contents = [path.read_bytes() for path in files]
    return [contents[number % len(contents)] for number in range(count)]


def _photograph(seed: int) -> bytes:
    """Return a JPEG with the spectrum of a photograph (power falls with the square of the frequency), so that it costs
    a decoder what a photograph costs."""
    rng = np.random.default_rng(seed)
    height, width = 375, 500
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :]
    falloff = 1 / np.maximum(np.hypot(fy, fx), 1 / width)
    noise = rng.standard_normal((3, height, width))
    channels = np.fft.irfft2(np.fft.rfft2(noise) * falloff, s=(height, width))
    channels = 128 + 52 * channels / channels.std(axis=(1, 2), keepdims=True)
    pixels = np.clip(channels, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=86)
    return out.getvalue()
