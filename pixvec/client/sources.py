"""Pictures to take in: files, folders, bytes and URIs, one after the other as they are needed."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TypeAlias

from pixvec.domain import PICTURE_SUFFIXES, Attributes
from pixvec.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class NewImage:
    """A picture to take in, from exactly one of `content` (its bytes), `path` (a file) or `uri` (for the server to
    fetch, under a root it allows)."""

    image_id: str
    content: bytes | None = None
    path: Path | None = None
    uri: str | None = None
    attributes: Attributes = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [part for part in (self.content, self.path, self.uri) if part is not None]
        if len(given) != 1:
            raise InvalidRequest(f"image {self.image_id!r} needs exactly one of content, path and uri")


Source: TypeAlias = str | os.PathLike[str] | tuple[str, bytes | str | os.PathLike[str]] | NewImage
Sources: TypeAlias = str | os.PathLike[str] | Iterable[Source]
AttributeSource: TypeAlias = Attributes | Callable[[str], Attributes] | None


def read_sources(sources: Sources, attributes: AttributeSource = None) -> Iterator[NewImage]:
    """Yield the pictures of files, folders, (id, bytes) and (id, path) pairs and NewImage values, lazily and in order.

    A file's id is its path as given. A folder is walked in sorted order, hidden entries left out, for files with the
    suffix of a picture; their ids are their paths below the folder. `attributes` is given to every picture, or called
    with each id; those of a NewImage win.
    """
    listed: Iterable[Source] = [sources] if isinstance(sources, str | os.PathLike) else sources
    for source in listed:
        for image in _read(source):
            yield _with_attributes(image, attributes)


def count_pictures(paths: Iterable[str | os.PathLike[str]]) -> int:
    """Return how many pictures the files and folders hold, for an estimate of the time left."""
    return sum(1 for path in paths for _ in _read(path))


def _read(source: Source) -> Iterator[NewImage]:
    if isinstance(source, NewImage):
        yield source
    elif isinstance(source, tuple):
        image_id, content = source
        if isinstance(content, bytes | bytearray | memoryview):
            yield NewImage(image_id, content=bytes(content))
        else:
            yield NewImage(image_id, path=Path(content))
    elif Path(source).is_dir():
        yield from _walk(Path(source))
    else:
        yield NewImage(PurePath(source).as_posix(), path=Path(source))


def _walk(folder: Path) -> Iterator[NewImage]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if path.suffix.lower() in PICTURE_SUFFIXES and not name.startswith("."):
                yield NewImage(path.relative_to(folder).as_posix(), path=path)


def _with_attributes(image: NewImage, attributes: AttributeSource) -> NewImage:
    if attributes is None:
        return image
    given: Attributes = attributes(image.image_id) if callable(attributes) else attributes
    return replace(image, attributes={**given, **image.attributes})
