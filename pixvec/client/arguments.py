"""Arguments that can never work are refused before they are sent."""

from typing import TypeVar

from pixvec.domain import Consistency, IndexKind, IndexSettings, Metric, OnExisting, SearchOptions, VectorStorage
from pixvec.errors import InvalidRequest, PictureTooLarge
from pixvec.rpc.channels import MAX_MESSAGE_BYTES

_Choice = TypeVar("_Choice", Metric, OnExisting, Consistency, IndexKind, VectorStorage)

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
    """Return a number that fits an unsigned field. Raises InvalidRequest."""
    if not 0 <= value < 2**32:
        raise InvalidRequest(f"{field} must be a number that is not negative, not {value}", field=field)
    return value


def search_options(*, exact: bool, ef: int, nprobe: int, rescore: float) -> SearchOptions:
    """Return how hard to search. Raises InvalidRequest."""
    return SearchOptions(exact, not_negative("ef", ef), not_negative("nprobe", nprobe), rescore)


def index_settings(index: IndexSettings | str) -> IndexSettings:
    """Return index settings, of a kind's name those with its defaults. Raises InvalidRequest."""
    if isinstance(index, str):
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
