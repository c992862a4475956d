"""A disposable process that decodes pictures, one at a time, within limits. Started and fed by `decode_pool`.

A request is one line of JSON on standard input, the picture's bytes being in the shared file whose descriptor is given
on the command line; a reply is one line on standard output, the pixels or the thumbnail being in the same file.
"""

import json
import mmap
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from pixvec.errors import PictureError
from pixvec.lifeline import follow_parent
from pixvec.vision.decode import DecodeLimits, decode, render_thumbnail
from pixvec.vision.preprocess import preprocess_from_json

_PAGE_BYTES = resource.getpagesize()

Request = Mapping[str, Any]


def main() -> None:
    """Serve requests until standard input ends."""
    order = json.loads(sys.argv[1])
    follow_parent(order["parent"])
    resource.setrlimit(resource.RLIMIT_AS, (order["memory_bytes"], order["memory_bytes"]))
    limits = DecodeLimits(order["max_bytes"], order["max_pixels"])
    # Whatever a library prints must not be taken for a reply.
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with mmap.mmap(order["shared_fd"], order["shared_bytes"]) as shared:
        replies.write(b"{}\n")
        _serve(sys.stdin.buffer, replies, shared, limits, order["cpu_limit_s"])


def _serve(requests: BinaryIO, replies: Any, shared: mmap.mmap, limits: DecodeLimits, cpu_limit_s: float) -> None:
    for line in requests:
        request = json.loads(line)
        _limit_cpu(cpu_limit_s)
        started = time.perf_counter()
        try:
            reply = _HANDLERS[request["kind"]](request, shared, limits)
        except PictureError as error:
            reply = {"reason": error.reason, "message": error.message}
        reply["seconds"] = time.perf_counter() - started
        reply["resident_bytes"] = _resident_bytes()
        replies.write(json.dumps(reply).encode() + b"\n")


def _decode(request: Request, shared: mmap.mmap, limits: DecodeLimits) -> dict[str, Any]:
    preprocess, hashed = preprocess_from_json(request["preprocess"]), request["hashed"]
    picture = decode(shared[: request["size"]], preprocess, limits, hashed=hashed)
    shared[: picture.pixels.nbytes] = picture.pixels.tobytes()
    shape = picture.pixels.shape
    told = {"shape": shape, "width": picture.width, "height": picture.height, "format": picture.format}
    return told | {"perceptual_hash": picture.perceptual_hash}


def _thumbnail(request: Request, shared: mmap.mmap, limits: DecodeLimits) -> dict[str, Any]:
    thumbnail = render_thumbnail(shared[: request["size"]], request["max_side"], limits)
    shared[: len(thumbnail)] = thumbnail
    return {"size": len(thumbnail)}


_HANDLERS: Mapping[str, Callable[[Request, mmap.mmap, DecodeLimits], dict[str, Any]]] = {
    "decode": _decode,
    "thumbnail": _thumbnail,
}


def _limit_cpu(cpu_limit_s: float) -> None:
    """A guard of its own for the case that the parent cannot kill this process in time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit_s = int(used.ru_utime + used.ru_stime + cpu_limit_s) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, resource.RLIM_INFINITY))


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - a tenth of the time of Path.read_bytes
        return int(statm.read().split()[1]) * _PAGE_BYTES


if __name__ == "__main__":
    main()
