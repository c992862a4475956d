"""Pictures' bytes on their way out of the store: set aside first, freed a good while later.

What is aside can still be got, and a put of the same bytes writes them anew. So whoever found them in the store right
before they were set aside has until they are freed to say that they are needed after all.
"""

from pathlib import PurePosixPath

from pixvec.blobs.store import ASIDE, THUMBNAIL_SIDE, FileStore, aside_of, is_hash, path_of, thumbnail_of
from pixvec.errors import ContentNotFound

# The store in parts of like size, to be gone through one after the other.
PARTS = 256


class Attic:
    """What is kept and what is aside, by hash. Any number may work on the same store at once."""

    def __init__(self, files: FileStore) -> None:
        self._files = files

    def kept(self, part: int) -> list[str]:
        """Return the hashes of a part's bytes that are in their place."""
        return self._hashes(f"{part:02x}")

    def aside(self, part: int, for_s: float) -> list[str]:
        """Return the hashes of a part's bytes that have been aside for longer than this."""
        return [each for each in self._hashes(f"{ASIDE}/{part:02x}") if self._aside_s(each) > for_s]

    def set_aside(self, content_hash: str) -> None:
        """Take bytes out of their place."""
        self._files.move(path_of(content_hash), aside_of(content_hash))

    def take_back(self, content_hash: str) -> None:
        """Put bytes that are aside into their place again."""
        self._files.move(aside_of(content_hash), path_of(content_hash))

    def free(self, content_hash: str) -> None:
        """Forget bytes that are aside, and what was derived from them."""
        self._files.remove(thumbnail_of(content_hash, THUMBNAIL_SIDE))
        self._files.remove(aside_of(content_hash))

    def _hashes(self, folder: str) -> list[str]:
        found = ((path, PurePosixPath(path).name) for path in self._files.names(folder))
        return [name for path, name in found if is_hash(name) and path in (path_of(name), aside_of(name))]

    def _aside_s(self, content_hash: str) -> float:
        try:
            return self._files.age_s(aside_of(content_hash))
        except ContentNotFound:
            # Another one was quicker.
            return 0.0
