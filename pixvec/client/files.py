"""Files of pictures, read as far as a message can carry them."""

import os
import stat

from pixvec.client.arguments import MAX_PICTURE_BYTES, check_size
from pixvec.errors import ContentNotFound


def read_file(path: str | os.PathLike[str], name: str) -> bytes:
    """Return the bytes of a file. Raises OSError, ContentNotFound for what is no file (a folder, a pipe, a device), and
    PictureTooLarge, calling it `name`, for what no message can carry; never more than that is read."""
    try:
        with open(path, "rb", opener=_open) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise IsADirectoryError(path)
            check_size(name, status.st_size)
            content = file.read(MAX_PICTURE_BYTES + 1)
    except (IsADirectoryError, ValueError):
        raise ContentNotFound(f"{os.fspath(path)!r} is not a file") from None
    check_size(name, len(content))
    return content


def _open(path: str, flags: int) -> int:
    # Not blocking: a pipe without a writer would hold the caller for ever.
    return os.open(path, flags | os.O_NONBLOCK)
