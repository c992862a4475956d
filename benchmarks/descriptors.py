"""SIFT descriptors of pictures: D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints" (2004)."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pictures import load_pictures

DIM = 128
# Weak corners count too: a thousand descriptors a picture and more.
_CONTRAST = 0.012
# Once every picture has been used, it is used again at another size, mirrored or not: other descriptors of it.
_VIEWS = ((1.0, False), (1.0, True), (1.5, False), (0.75, True))
_AT_ONCE = 32
# A made picture has about 3,000.
_LEAST_A_MADE_PICTURE = 2_500


def sift_descriptors(folder: Path | None, count: int, cache: Path | None = None) -> npt.NDArray[np.uint8]:
    """Return (count, 128) descriptors of the JPEG files in `folder`, or of made pictures, in no order. They are kept in
    the folder `cache`, if one is named, for the next time. Ends the program where there are not so many."""
    kept = cache / f"sift-{count}-{_fingerprint(folder)}.npy" if cache else None
    if kept is not None and kept.exists():
        loaded: npt.NDArray[np.uint8] = np.load(kept)
        return loaded
    found = _extract(folder, count)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
    return found


def _extract(folder: Path | None, count: int) -> npt.NDArray[np.uint8]:
    parts: list[npt.NDArray[np.uint8]] = []
    total = 0
    for part in _of_every_picture(_contents(folder, count)):
        parts.append(part)
        total += len(part)
        if total >= count:
            break
    else:
        raise SystemExit(f"{folder} gives {total} descriptors, {count} are wanted: name a folder of more pictures.")
    rows = np.concatenate(parts)
    return rows[np.random.default_rng(0).permutation(total)[:count]]


def _of_every_picture(contents: list[bytes]) -> Iterator[npt.NDArray[np.uint8]]:
    views = iter([(content, scale, mirrored) for scale, mirrored in _VIEWS for content in contents])
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        while some := list(islice(views, _AT_ONCE)):
            yield from threads.map(lambda view: _of_picture(*view), some)


def _of_picture(content: bytes, scale: float, mirrored: bool) -> npt.NDArray[np.uint8]:
    cv2 = _opencv()
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if scale != 1.0:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if mirrored:
        pixels = cv2.flip(pixels, 1)
    _, found = cv2.SIFT_create(contrastThreshold=_CONTRAST).detectAndCompute(pixels, None)
    return np.empty((0, DIM), np.uint8) if found is None else found.astype(np.uint8)


def _contents(folder: Path | None, descriptors: int) -> list[bytes]:
    made = 1 + descriptors // _LEAST_A_MADE_PICTURE
    contents = load_pictures(folder, made if folder is None else sum(1 for _ in folder.iterdir()))
    # Not all pictures of one kind first, where only some are needed.
    return [contents[place] for place in np.random.default_rng(0).permutation(len(dict.fromkeys(contents)))]


def _fingerprint(folder: Path | None) -> str:
    files = [] if folder is None else sorted((path.name, path.stat().st_size) for path in folder.iterdir())
    return hashlib.sha256(repr((files, _CONTRAST, _VIEWS)).encode()).hexdigest()[:16]


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as missing:
        raise SystemExit(
            "Descriptors need OpenCV: run in the environment of `make bench`, or pip install 'pixvec[bench]'."
        ) from missing
    # Pictures are worked side by side.
    cv2.setNumThreads(1)
    return cv2
