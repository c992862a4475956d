"""Whatever goes wrong with one item is told to the one who waits for it; the items after it are decoded."""

from concurrent.futures import Future

import pytest

from pixvec.errors import PictureUndecodable
from pixvec.vision.decode import DecodeLimits
from workers import decoder_lane
from workers.decode_pool import DecodePool
from workers.decoder_lane import DecoderLane

LIMIT_S = 30.0


class FakeProcess:
    """A decoder that raises what its content says, and counts how many were started."""

    started = 0
    items, resident_bytes = 0, 0

    def __init__(self, limits, **_):
        type(self).started += 1
        self.pid = self.started
        self.killed = False

    def thumbnail(self, content, max_side):
        assert not self.killed
        if max_side in FAULTS:
            raise FAULTS[max_side]
        return b"thumbnail"

    def kill(self):
        self.killed = True


FAULTS = {
    1: OSError("no more processes"),
    2: KeyError("width"),
    3: ValueError("no JSON"),
    4: PictureUndecodable("damaged"),
}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def fake_processes(monkeypatch):
    monkeypatch.setattr(decoder_lane, "DecoderProcess", FakeProcess)
    monkeypatch.setattr(FakeProcess, "started", 0)


def work(lane, max_side):
    future = Future()
    lane.work(lambda process: process.thumbnail(b"", max_side), future)
    return future


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_its_own_item_and_no_other(fault):
    pool = DecodePool(1, DecodeLimits())
    pool.start()
    futures = [pool.thumbnail(PNG, side) for side in (fault, 100)]
    assert futures[0].exception(LIMIT_S) is FAULTS[fault]
    assert futures[1].result(LIMIT_S) == b"thumbnail"
    pool.close()


def test_a_process_is_not_used_again_after_what_nobody_foresaw():
    lane = DecoderLane(DecodeLimits(), 1.0, 2**30, 100)
    assert work(lane, 4).exception() is FAULTS[4]
    assert FakeProcess.started == 1
    assert work(lane, 3).exception() is FAULTS[3]
    assert work(lane, 100).result() == b"thumbnail"
    assert FakeProcess.started == 2
