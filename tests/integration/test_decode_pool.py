"""Decoder processes killed, stopped and starved: the picture at fault fails, and no other."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from pixvec.errors import PictureUndecodable, Unavailable
from pixvec.vision.decode import DecodeLimits, Picture
from pixvec.vision.preprocess import Preprocess
from tests.pictures import encode, make_jpeg
from workers.decode_pool import DecodePool

PREPROCESS = Preprocess(32, 32)
LIMIT_S = 60.0
LIMITS = DecodeLimits()
JPEG = make_jpeg(1)


@contextmanager
def running(processes: int = 1, **options: float) -> Iterator[DecodePool]:
    pool = DecodePool(processes, LIMITS, **options)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()


def decoded(pool: DecodePool) -> Picture:
    return pool.decode(JPEG, PREPROCESS).result(LIMIT_S)


def is_gone(pid: int) -> bool:
    """Whether the process has ended and been waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_decoder_killed_between_two_pictures_is_replaced_unnoticed() -> None:
    with running() as pool:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        assert decoded(pool).width == 160
        (successor,) = pool.pids
        assert successor != pid
        assert is_gone(pid)


def test_a_decoder_killed_over_a_picture_costs_that_picture_one_retry() -> None:
    with running(2) as pool:
        pids = pool.pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        futures = [pool.decode(JPEG, PREPROCESS) for _ in range(6)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert [future.result(LIMIT_S).width for future in futures] == [160] * 6
        assert len(pool.pids) == 2
        assert not set(pool.pids) & set(pids)


def test_a_picture_over_its_time_fails_alone_and_its_process_is_replaced() -> None:
    with running(item_timeout_s=3.0) as pool:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        slow, next_one = (pool.decode(JPEG, PREPROCESS) for _ in range(2))
        with pytest.raises(PictureUndecodable, match="takes more than 3 seconds: shrink"):
            slow.result(LIMIT_S)
        assert is_gone(pid)
        assert next_one.result(LIMIT_S).width == 160


def address_space(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[0]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def test_a_picture_over_the_memory_fails_alone() -> None:
    with running() as pool:
        idle_bytes = address_space(pool.pids[0])
    # 39.7 megapixels: within the limit on pixels, and 160 MB once they are in RGB.
    large = encode(Image.new("1", (6300, 6300)), "PNG")
    with running(memory_bytes=idle_bytes + 64 * 2**20) as pool:
        with pytest.raises(PictureUndecodable, match="needs more memory than a decoder is given: shrink"):
            pool.decode(large, PREPROCESS).result(LIMIT_S)
        assert decoded(pool).width == 160


def test_a_limit_too_low_to_start_with_is_told_with_the_exit_code() -> None:
    with pytest.raises(Unavailable, match=r"did not start \(exit code 1\).*memory limit is too low"):
        DecodePool(1, LIMITS, memory_bytes=2**20).start()


def test_a_decoder_is_replaced_after_its_share_of_pictures() -> None:
    with running(recycle_items=2) as pool:
        (pid,) = pool.pids
        # The third is the second process's first: it is not replaced behind the back of this test.
        assert [decoded(pool).width for _ in range(3)] == [160] * 3
        assert is_gone(pid)
        assert len(pool.pids) == 1


def test_close_ends_every_process() -> None:
    with running(2) as pool:
        pids = pool.pids
        decoded(pool)
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


PARENT = """
import sys
from pixvec.vision.decode import DecodeLimits
from workers.decode_pool import DecodePool
pool = DecodePool(2, DecodeLimits())
pool.start()
print(*pool.pids, flush=True)
sys.stdin.read()
"""


def test_decoders_die_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        ends = [os.pidfd_open(pid) for pid in pids]
        # A stopped process cannot see its input end: only the kernel can end it.
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    assert len(pids) == 2
    for end in ends:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        assert poll.poll(LIMIT_S * 1000)
        os.close(end)
