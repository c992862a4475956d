"""Pictures by URI, from the roots that the deployment allows and from nowhere else."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

import fsspec

from pixvec.domain import PICTURE_SUFFIXES
from pixvec.errors import ContentNotFound, PictureTooLarge, PixvecError, Unavailable, UriNotAllowed

_WEB = ("http", "https", "ftp")
# Links in a circle, a name longer than a folder holds, a socket: trying again changes nothing.
_NEVER_A_FILE = (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)


class UriSources:
    """Reads URIs under `roots` (`file:///data/pictures`, `s3://bucket/photos`), each of at most `max_bytes`.

    A local path counts as under a root by where it really is, links resolved. Web addresses are refused, root or not.
    """

    def __init__(self, roots: Sequence[str], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folders = tuple(Path(_local_path(root)).resolve() for root in roots if _scheme(root) == "file")
        self._prefixes = tuple(root.rstrip("/") for root in roots if _scheme(root) not in ("file", *_WEB))

    def check(self, uri: str) -> None:
        """Raises UriNotAllowed, naming what is allowed."""
        scheme = _scheme(uri)
        if scheme == "file":
            self._check_folder(uri, _resolved(uri))
        elif scheme in _WEB:
            raise UriNotAllowed(f"{uri}: web addresses are not fetched; send the picture's bytes", field="uri")
        elif not scheme:
            raise UriNotAllowed(f"{uri!r} has no scheme; a local file is written file:///path", field="uri")
        elif ".." in PurePosixPath(uri).parts or not any(_below(uri, prefix) for prefix in self._prefixes):
            raise UriNotAllowed(self._refusal(uri), field="uri")

    def list(self, prefix: str) -> list[str]:
        """Return the paths below `prefix` of all files with a picture's suffix, sorted; `join` makes URIs of them.

        Hidden files and folders are left out; links to folders are not followed. A prefix that is itself a file gives
        an empty path. Raises UriNotAllowed, ContentNotFound when nothing is there, Unavailable.
        """
        self.check(prefix)
        with _translated(prefix):
            return sorted(_list_local(_local_path(prefix)) if _scheme(prefix) == "file" else _list_remote(prefix))

    def fetch(self, uri: str) -> bytes:
        """Return the bytes. Raises UriNotAllowed, ContentNotFound, PictureTooLarge, Unavailable."""
        self.check(uri)
        with _translated(uri):
            return self._fetch_local(uri) if _scheme(uri) == "file" else self._fetch_remote(uri)

    def _fetch_local(self, uri: str) -> bytes:
        with open(_local_path(uri), "rb", opener=_open_at_once) as file:
            # The file that was opened, not one that took its name meanwhile.
            self._check_folder(uri, Path(f"/proc/self/fd/{file.fileno()}").readlink())
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ContentNotFound(f"{uri} is not a file")
            self._check_size(uri, status.st_size)
            content = file.read(self._max_bytes + 1)
        self._check_size(uri, len(content))
        return content

    def _fetch_remote(self, uri: str) -> bytes:
        filesystem, path = _filesystem(uri)
        size = filesystem.size(path)
        self._check_size(uri, size or 0)
        content: bytes = filesystem.cat_file(path, end=self._max_bytes + 1)
        self._check_size(uri, len(content))
        return content

    def _check_folder(self, uri: str, path: Path) -> None:
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise UriNotAllowed(self._refusal(uri), field="uri")

    def _check_size(self, uri: str, size: int) -> None:
        if size > self._max_bytes:
            raise PictureTooLarge(f"{uri} has more than {self._max_bytes:,} bytes, the limit; make it smaller")

    def _refusal(self, uri: str) -> str:
        allowed = [*(f"file://{folder}" for folder in self._folders), *self._prefixes]
        if not allowed:
            return f"{uri}: no URI is allowed here; allow a root with `pixvec up --root FOLDER`"
        return f"{uri} is not under a root that is allowed here ({', '.join(allowed)}); allow it with `--root`"


def join(prefix: str, path: str) -> str:
    """Return the URI of a path that `UriSources.list(prefix)` returned."""
    if not path:
        return prefix
    escaped = quote_from_bytes(os.fsencode(path)) if _scheme(prefix) == "file" else path
    return f"{prefix.rstrip('/')}/{escaped}"


def image_id(prefix: str, path: str) -> str:
    """Return the id of the picture at a path that `UriSources.list(prefix)` returned: the path, or its own name where
    the prefix is the picture itself."""
    return path or PurePosixPath(_local_path(prefix) if _scheme(prefix) == "file" else prefix).name


def _scheme(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    return scheme.lower() if separator else ""


def _local_path(uri: str) -> str:
    parts = urlsplit(uri, allow_fragments=False)
    if parts.netloc not in ("", "localhost"):
        raise UriNotAllowed(f"{uri} names another machine; a local file is written file:///path", field="uri")
    # A path may hold a question mark; a file URI has no query.
    raw = parts.path + (f"?{parts.query}" if parts.query else "")
    path = os.fsdecode(unquote_to_bytes(raw))
    if not path.startswith("/") or "\0" in path:
        raise UriNotAllowed(f"{uri!r} names no absolute path; a local file is written file:///path", field="uri")
    return path


def _resolved(uri: str) -> Path:
    with _translated(uri):
        # Not Path.resolve, which makes a RuntimeError of links in a circle.
        return Path(os.path.realpath(_local_path(uri)))


def _open_at_once(path: str, flags: int) -> int:
    # Not blocking: a pipe without a writer would hold the caller for ever.
    return os.open(path, flags | os.O_NONBLOCK)


def _below(uri: str, prefix: str) -> bool:
    return uri == prefix or uri.startswith(f"{prefix}/")


def _list_local(folder: str) -> Iterator[str]:
    if os.path.isfile(folder):  # noqa: PTH113 - os.walk below takes text
        yield ""
        return
    if not os.path.isdir(folder):  # noqa: PTH112
        raise FileNotFoundError(folder)
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = os.path.relpath(parent, folder)
        start = "" if below == "." else f"{below}/"
        yield from (start + name for name in files if _is_picture(name))


def _list_remote(prefix: str) -> Iterator[str]:
    filesystem, root = _filesystem(prefix)
    root = root.rstrip("/")
    for path in filesystem.find(root):
        below = path[len(root) :].lstrip("/")
        if path == root:
            yield ""
        elif _is_picture(PurePosixPath(path).name) and not any(part.startswith(".") for part in below.split("/")):
            yield below


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def _filesystem(uri: str) -> tuple[Any, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise UriNotAllowed(f"{uri} cannot be read here: {error}", field="uri") from error
    return filesystem, path


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except PixvecError:
        raise
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ContentNotFound(f"there is nothing at {uri}") from error
    except PermissionError as error:
        raise ContentNotFound(f"{uri} may not be read by the user that pixvec runs as: {error.strerror}") from error
    except Exception as error:  # the clients of remote stores raise what they like
        if isinstance(error, OSError) and error.errno in _NEVER_A_FILE:
            raise ContentNotFound(f"there can be nothing at {uri}: {error.strerror}") from error
        raise Unavailable(f"{uri} cannot be read now: {error}; check that its store can be reached") from error
