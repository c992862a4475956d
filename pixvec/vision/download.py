"""Fetching published weights within a limit of time, and giving up early where there is no network."""

import hashlib
import http.client
import io
import os
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from pixvec.disk import sync_folder

# To look up the host, connect and receive the headers: a machine without a network must not wait for long.
_CONNECT_LIMIT_S = 5.0
_READ_LIMIT_S = 10.0
_PART_BYTES = 2**20


class HostUnreachable(OSError):
    """The host did not answer at all: asking it for another file is of no use."""


def download(torchvision_name: str, target: Path, sha256_prefix: str, limit_s: float) -> str:
    """Fetch weights by torchvision's name of them; return their SHA-256.

    `target` appears whole or not at all. Raises OSError: no answer, too slow, or a file of another hash.
    """
    # Here, because it takes torch with it, and most starts find the file in the cache.
    import torchvision.models

    return fetch(torchvision.models.get_weight(torchvision_name).url, target, sha256_prefix, limit_s)


def fetch(url: str, target: Path, sha256_prefix: str, limit_s: float) -> str:
    """Fetch `url` into `target`; return its SHA-256. Raises OSError as `download` does."""
    deadline = time.monotonic() + limit_s
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with _open(url) as response, part.open("wb") as file:
            digest = _stream(response, file, deadline, limit_s)
        if not digest.startswith(sha256_prefix):
            raise OSError(f"what came from {urlsplit(url).hostname} has the SHA-256 {digest}, not {sha256_prefix}…")
        part.replace(target)
        sync_folder(target.parent)
    except http.client.HTTPException as error:
        raise OSError(f"{urlsplit(url).hostname} broke off ({error!r})") from error
    finally:
        part.unlink(missing_ok=True)
    return digest


def _open(url: str) -> io.BufferedIOBase:
    """Return the response once its headers are here.

    In a thread of its own, because the look-up of a host takes no time limit and may take half a minute.
    """
    answer: Future[io.BufferedIOBase] = Future()

    def ask() -> None:
        try:
            answer.set_result(urllib.request.urlopen(url, timeout=_READ_LIMIT_S))  # noqa: S310 - torchvision's URLs
        except (OSError, http.client.HTTPException) as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name="weights-download", daemon=True).start()
    host = urlsplit(url).hostname
    try:
        return answer.result(_CONNECT_LIMIT_S)
    except TimeoutError as error:
        raise HostUnreachable(f"{host} did not answer within {_CONNECT_LIMIT_S:g} s") from error
    except urllib.error.HTTPError:
        raise
    except OSError as error:
        raise HostUnreachable(f"{host} cannot be reached ({error})") from error


def _stream(response: io.BufferedIOBase, file: IO[bytes], deadline: float, limit_s: float) -> str:
    digest = hashlib.sha256()
    # What has come, not a full part: a host that sends a little at a time would put off the look at the clock.
    while data := response.read1(_PART_BYTES):
        if time.monotonic() > deadline:
            raise OSError(f"it was not complete after {limit_s:g} s")
        digest.update(data)
        file.write(data)
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()
