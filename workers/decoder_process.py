"""One decoder process, seen from the parent. All methods block; one thread owns it from start to kill."""

import contextlib
import json
import math
import mmap
import os
import select
import subprocess
import sys
import time
from typing import Any

import numpy as np

from pixvec.errors import PixvecError, Unavailable
from pixvec.vision.decode import DecodeLimits, Picture
from pixvec.vision.preprocess import AnyPreprocess

# A thumbnail of 2048 x 2048 pixels or the pixels of any model fit, whatever the limit on a picture's bytes.
_LEAST_SHARED_BYTES = 16 * 2**20
_START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_REPLY_BYTES = 65536


class DecoderDied(Exception):
    """The process ended in the middle of an item: killed from outside, out of memory, or by a decoder's own bug."""


class DecoderOverran(Exception):
    """The item took longer than its limit; the process must be killed."""


class DecoderProcess:
    """Starts at once; raises Unavailable if it does not come up."""

    def __init__(self, limits: DecodeLimits, *, item_timeout_s: float, memory_bytes: int) -> None:
        self.items = 0
        self.resident_bytes = 0
        self._item_timeout_s = item_timeout_s
        try:
            self._shared, self._process = self._launch(limits, memory_bytes)
        except OSError as error:
            raise Unavailable(
                f"a decoder process could not be started ({error}): the machine is short of memory or of processes"
            ) from error
        self._await_ready()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def decode(self, content: bytes, preprocess: AnyPreprocess, *, hashed: bool = False) -> Picture:
        """Return the decoded picture. Raises a PictureError, DecoderDied or DecoderOverran."""
        reply = self._ask(content, {"kind": "decode", "preprocess": preprocess.to_json(), "hashed": hashed})
        shape = reply["shape"]
        pixels = np.frombuffer(self._shared[: math.prod(shape)], dtype=np.uint8).reshape(shape)
        return Picture(pixels, reply["width"], reply["height"], reply["format"], reply["perceptual_hash"])

    def thumbnail(self, content: bytes, max_side: int) -> bytes:
        """Return an upright JPEG of at most `max_side` pixels a side. Raises as `decode` does."""
        reply = self._ask(content, {"kind": "thumbnail", "max_side": max_side})
        return self._shared[: reply["size"]]

    def kill(self) -> None:
        """End the process, whatever it is doing. Harmless if it has ended."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._shared.close()

    def _launch(self, limits: DecodeLimits, memory_bytes: int) -> "tuple[mmap.mmap, subprocess.Popen[bytes]]":
        size = max(limits.max_bytes, _LEAST_SHARED_BYTES)
        shared_fd = os.memfd_create("pixvec-decoder")
        try:
            os.ftruncate(shared_fd, size)
            return mmap.mmap(shared_fd, size), self._start(limits, shared_fd, size, memory_bytes)
        finally:
            os.close(shared_fd)

    def _start(
        self, limits: DecodeLimits, shared_fd: int, shared_bytes: int, memory_bytes: int
    ) -> "subprocess.Popen[bytes]":
        order = {
            "parent": os.getpid(),
            "shared_fd": shared_fd,
            "shared_bytes": shared_bytes,
            # The shared file counts as address space too.
            "memory_bytes": memory_bytes + shared_bytes,
            "max_bytes": limits.max_bytes,
            "max_pixels": limits.max_pixels,
            "cpu_limit_s": self._item_timeout_s,
        }
        # One thread a decoder: the pool is the parallelism, and threads would count as address space.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "workers.decoder", json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=(shared_fd,),
            env=environment,
        )

    def _await_ready(self) -> None:
        try:
            self._read(_START_LIMIT_S)
        except (DecoderDied, DecoderOverran) as error:
            if isinstance(error, DecoderDied):
                # What it ends with by itself is more telling than our own signal.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_LIMIT_S)
            self.kill()
            raise Unavailable(
                f"a decoder process did not start (exit code {self._process.returncode}); its log says why: "
                "most often the memory limit is too low"
            ) from error

    def _ask(self, content: bytes, request: dict[str, Any]) -> dict[str, Any]:
        self.items += 1
        self._shared[: len(content)] = content
        line = json.dumps({**request, "size": len(content)}).encode() + b"\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except BrokenPipeError as error:
            raise DecoderDied from error
        reply = self._read(self._item_timeout_s)
        self.resident_bytes = reply["resident_bytes"]
        if "reason" in reply:
            raise PixvecError.by_reason(reply["reason"])(reply["message"])
        return reply

    def _read(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise DecoderOverran
            part = os.read(descriptor, _REPLY_BYTES)
            if not part:
                raise DecoderDied
            line += part
        try:
            reply: dict[str, Any] = json.loads(line)
        except ValueError as error:
            # Something else has written to its output: what it says can be relied on no more.
            raise DecoderDied from error
        return reply
