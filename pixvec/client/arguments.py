"""Arguments that can never work are refused before they are sent."""

import operator
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

from pixvec.domain import (
    Box,
    Consistency,
    FittedKind,
    IndexKind,
    IndexSettings,
    Metric,
    OnDuplicate,
    OnExisting,
    RegionEmbedding,
    SearchOptions,
    VectorStorage,
)
from pixvec.errors import InvalidRequest, PictureTooLarge
from pixvec.fusion import FusionMethod
from pixvec.rpc.channels import MAX_MESSAGE_BYTES

# A Box, or x1, y1, x2, y2 in pixels of the upright picture.
BoxLike: TypeAlias = Box | Sequence[float]

_Choice = TypeVar(
    "_Choice",
    Metric,
    OnDuplicate,
    OnExisting,
    Consistency,
    IndexKind,
    VectorStorage,
    FittedKind,
    RegionEmbedding,
    FusionMethod,
)

# What a message may hold beside the picture: id and attributes.
_ENVELOPE_BYTES = 2 * 2**20
MAX_PICTURE_BYTES = MAX_MESSAGE_BYTES - _ENVELOPE_BYTES


def choice(field: str, kind: type[_Choice], value: str) -> _Choice:
    """Return the member of that value. Raises InvalidRequest."""
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise InvalidRequest(f"{field} must be one of {known}, not {value!r}", field=field) from None


def not_negative(field: str, value: int) -> int:
    """Return a whole number that fits an unsigned field. Raises InvalidRequest."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise InvalidRequest(f"{field} must be a whole number, not {value!r}", field=field) from None
    if not 0 <= whole < 2**32:
        raise InvalidRequest(f"{field} must be a number that is not negative, not {value}", field=field)
    return whole


def number(field: str, value: float) -> float:
    """Return a number. Raises InvalidRequest."""
    try:
        # What is no number and can become one, such as text, is a slip.
        return value * 1.0
    except TypeError:
        raise InvalidRequest(f"{field} must be a number, not {value!r}", field=field) from None


def box(field: str, value: BoxLike) -> Box:
    """Return a part of a picture. Raises InvalidRequest for what is not x1, y1, x2, y2."""
    if isinstance(value, Box):
        value = (value.x1, value.y1, value.x2, value.y2)
    try:
        x1, y1, x2, y2 = (float(number(field, each)) for each in value)
    except (TypeError, ValueError):
        raise InvalidRequest(f"{field} must be x1, y1, x2, y2 in pixels, not {value!r}", field=field) from None
    return Box(x1, y1, x2, y2)


def text(field: str, value: str) -> str:
    """Return text that can be sent. Raises InvalidRequest."""
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} must be text, not {value!r}", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field} {value!r} is not UTF-8: there can be no such name", field=field) from None
    return value


def texts(field: str, values: Iterable[str]) -> list[str]:
    """Return texts that can be sent. Raises InvalidRequest, also for a single text: its letters are not meant."""
    if isinstance(values, str):
        raise InvalidRequest(f"{field} must be several, not the text {values!r}: put it in a list", field=field)
    try:
        listed = list(values)
    except TypeError:
        raise InvalidRequest(f"{field} must be several texts, not {values!r}", field=field) from None
    return [text(field, value) for value in listed]


def search_options(*, exact: bool, ef: int, nprobe: int, rescore: float) -> SearchOptions:
    """Return how hard to search. Raises InvalidRequest."""
    return SearchOptions(
        bool(exact), not_negative("ef", ef), not_negative("nprobe", nprobe), number("rescore", rescore)
    )


def index_settings(index: IndexSettings | str) -> IndexSettings:
    """Return index settings, of a kind's name those with its defaults. Raises InvalidRequest."""
    if not isinstance(index, IndexSettings):
        return IndexSettings(choice("index", IndexKind, index))
    return IndexSettings(
        choice("index.kind", IndexKind, index.kind),
        choice("index.storage", VectorStorage, index.storage),
        not_negative("index.hnsw_m", index.hnsw_m),
        not_negative("index.ef_construction", index.ef_construction),
        not_negative("index.nlist", index.nlist),
    )


def check_size(name: str, size_bytes: int) -> None:
    """Raise PictureTooLarge for a picture that no message can carry."""
    if size_bytes > MAX_PICTURE_BYTES:
        raise PictureTooLarge(
            f"{name} has {size_bytes / 2**20:.0f} MiB, and a message carries {MAX_PICTURE_BYTES / 2**20:.0f}:"
            " shrink the picture"
        )


def check_message(name: str, size_bytes: int) -> None:
    """Raise InvalidRequest for a message that would end the stream it is sent on."""
    if size_bytes > MAX_MESSAGE_BYTES:
        raise InvalidRequest(
            f"{name} takes {size_bytes / 2**20:.0f} MiB with its id, and a message carries"
            f" {MAX_MESSAGE_BYTES / 2**20:.0f}: give it a shorter id"
        )
