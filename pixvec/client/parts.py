"""Several things at once that hits are to be like."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from pixvec.api.v1 import search_service_pb2
from pixvec.client.arguments import check_size, number, text
from pixvec.client.files import read_file
from pixvec.client.vectors import VectorLike, pack_vector
from pixvec.errors import InvalidRequest

PictureLike: TypeAlias = bytes | bytearray | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One of them: exactly one of `image` (bytes or a file), `image_id`, `text` and `vector`. Each counts by its
    `weight`; hits are to be unlike one of negative weight."""

    image: PictureLike | None = None
    image_id: str | None = None
    text: str | None = None
    vector: VectorLike | None = None
    weight: float = 1.0


def read_parts(parts: Iterable[Part]) -> list[Part]:
    """Return the parts with their picture files read. Raises as `read_picture` does, and InvalidRequest for what are no
    parts."""
    if isinstance(parts, Part):
        raise InvalidRequest("combine takes several parts: put the one in a list", field="combine")
    listed = list(parts)
    strangers = [part for part in listed if not isinstance(part, Part)]
    if strangers:
        raise InvalidRequest(f"combine takes Part values, not {strangers[0]!r}: Part(text='…')", field="combine")
    contents = [part if part.image is None else replace(part, image=read_picture(part.image)) for part in listed]
    check_size("the combination's pictures", sum(len(part.image) for part in contents if isinstance(part.image, bytes)))
    return contents


def to_combination(parts: Iterable[Part]) -> search_service_pb2.Combination:
    """Return parts as they travel. Raises as `read_parts` does, and InvalidRequest and InvalidVector."""
    return search_service_pb2.Combination(parts=map(_to_part, read_parts(parts)))


def read_picture(image: PictureLike) -> bytes:
    """Return the bytes of a picture given as bytes or as the path of its file. Raises InvalidRequest for anything else,
    and as `read_file` does."""
    if isinstance(image, str | os.PathLike):
        return read_file(image, "the query picture")
    if not isinstance(image, bytes | bytearray):
        raise InvalidRequest(f"image must be the bytes or the path of a picture, not {image!r}", field="image")
    check_size("the query picture", len(image))
    return bytes(image)


def _to_part(part: Part) -> search_service_pb2.Combination.Part:
    given = (part.image is not None, part.image_id is not None, part.text is not None, part.vector is not None)
    if sum(given) != 1:
        raise InvalidRequest("a part needs exactly one of image, image_id, text and vector", field="combine")
    message = search_service_pb2.Combination.Part(weight=number("weight", part.weight))
    if part.image is not None:
        message.image = read_picture(part.image)
    elif part.image_id is not None:
        message.image_id = text("image_id", part.image_id)
    elif part.text is not None:
        message.text = text("text", part.text)
    elif part.vector is not None:
        message.vector.data = pack_vector(part.vector)
    return message
