"""What was fitted on pictures or vectors, as a safetensors file whose name ends in the start of its SHA-256."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pixvec.disk import sync_folder
from pixvec.errors import WeightsUnavailable

Arrays = Mapping[str, npt.NDArray[Any]]

_KIND = "pixvec"
_PREFIX_DIGITS = 8
_MOST_HEADER_BYTES = 2**16


def write(folder: Path, name: str, kind: str, arrays: Arrays) -> Path:
    """Write `NAME-HASH.safetensors` into the folder, whole or not at all, and return its path."""
    # One entry: more would be written in an order of chance, and equal arrays are to have equal files.
    content = save({key: np.ascontiguousarray(value, np.float32) for key, value in arrays.items()}, {_KIND: kind})
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:_PREFIX_DIGITS]}.safetensors"
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(folder)
    return path


def read(path: Path, kind: str, shapes: Mapping[str, int]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the arrays. `shapes`: the number of axes of each that there must be.

    Raises WeightsUnavailable: not safetensors, of another kind, an array missing, of another shape or not finite.
    """
    try:
        content = path.read_bytes()
        metadata = read_metadata(content)
        arrays = load(content)
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsUnavailable(f"{path} cannot be read as safetensors ({error}): fit it again") from error
    if metadata.get(_KIND) != kind:
        raise WeightsUnavailable(f"{path} holds {metadata.get(_KIND) or 'something else'}, not a fitted {kind}")
    for name, axes in shapes.items():
        _check(path, kind, name, axes, arrays.get(name))
    return arrays


def shape_of(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of one array, by the file's header alone; empty where that cannot be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, _MOST_HEADER_BYTES)))
        return tuple(map(int, header[name]["shape"]))
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the text that is stored beside the arrays. Raises ValueError for what is no safetensors file."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata


def _check(path: Path, kind: str, name: str, axes: int, array: npt.NDArray[Any] | None) -> None:
    if array is None or array.ndim != axes or not array.size or array.dtype != np.float32:
        found = "missing" if array is None else f"{array.dtype} of {' x '.join(map(str, array.shape))}"
        raise WeightsUnavailable(f"{path} is no fitted {kind}: {name} is {found}, not float32 of {axes} axes")
    if not np.isfinite(array).all():
        raise WeightsUnavailable(f"{path} is no fitted {kind}: {name} has values that are not finite")
