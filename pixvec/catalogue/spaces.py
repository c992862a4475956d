"""What both catalogues do with the spaces of a collection."""

from collections.abc import Callable
from dataclasses import replace

from pixvec.domain import Collection, IndexSettings
from pixvec.errors import SpaceNotFound


def with_index(collection: Collection, space: str, change: Callable[[IndexSettings], IndexSettings]) -> Collection:
    """Return the collection with the index settings of one space changed, or of every space where `space` is empty.
    Raises SpaceNotFound."""
    if space and collection.space(space) is None:
        known = ", ".join(each.name for each in collection.spaces)
        raise SpaceNotFound(f"{collection.name} has no space {space!r}; it has {known}", field="space")
    spaces = (
        replace(each, index=change(each.index)) if space in ("", each.name) else each for each in collection.spaces
    )
    return replace(collection, spaces=tuple(spaces))
