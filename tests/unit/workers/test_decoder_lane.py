"""A lost process costs one retry; a picture that takes two down, or too long, is to blame itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from prometheus_client import REGISTRY

from pixvec.errors import PictureTruncated, PictureUndecodable, Unavailable
from pixvec.vision.decode import DecodeLimits
from tests.unit.workers.decoding import ScriptedProcess, Works
from workers import decoder_lane
from workers.decoder_lane import DecoderLane
from workers.decoder_process import DecoderDied, DecoderOverran

MEMORY_BYTES = 1000
RECYCLE_ITEMS = 3


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Works:
    works = Works(getattr(request, "param", lambda _: True))
    monkeypatch.setattr(decoder_lane, "DecoderProcess", works)
    return works


@pytest.fixture
def lane(works: Works) -> DecoderLane:
    return DecoderLane(DecodeLimits(), 0.5, MEMORY_BYTES, RECYCLE_ITEMS)


def ending_in(*outcomes: Any) -> Callable[[ScriptedProcess], Any]:
    """Return work that raises or returns one of the outcomes after the other."""
    left: Iterator[Any] = iter(outcomes)

    def run(_process: ScriptedProcess) -> Any:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return run


def worked(lane: DecoderLane, *outcomes: Any) -> Future[Any]:
    future: Future[Any] = Future()
    lane.work(ending_in(*outcomes), future)
    assert future.done()
    return future


def lost(cause: str) -> float:
    return REGISTRY.get_sample_value("pixvec_decoders_killed_total", {"cause": cause}) or 0


def test_one_process_serves_many_items(lane: DecoderLane, works: Works) -> None:
    assert [worked(lane, number).result() for number in range(2)] == [0, 1]
    assert len(works.made) == 1
    assert lane.pid == 1


def test_a_death_costs_one_retry_on_a_fresh_process(lane: DecoderLane, works: Works) -> None:
    before = lost("died")
    assert worked(lane, DecoderDied(), "pixels").result() == "pixels"
    assert [process.killed for process in works.made] == [True, False]
    assert lost("died") == before + 1


def test_the_second_death_is_the_pictures_fault(lane: DecoderLane, works: Works) -> None:
    with pytest.raises(PictureUndecodable, match="made the decoder crash 2 times: re-save"):
        worked(lane, DecoderDied(), DecoderDied(), "never asked for").result()
    assert [process.killed for process in works.made] == [True, True]
    assert worked(lane, "the next one").result() == "the next one"


def test_too_long_is_not_tried_again(lane: DecoderLane, works: Works) -> None:
    before = lost("overran")
    with pytest.raises(PictureUndecodable, match=r"takes more than 0\.5 seconds: shrink"):
        worked(lane, DecoderOverran(), "never asked for").result()
    assert [process.killed for process in works.made] == [True]
    assert lane.pid is None
    assert lost("overran") == before + 1


def test_a_bad_picture_costs_no_process(lane: DecoderLane, works: Works) -> None:
    with pytest.raises(PictureTruncated):
        worked(lane, PictureTruncated("half of it")).result()
    assert [process.killed for process in works.made] == [False]


@pytest.mark.parametrize("works", [lambda number: number != 2], indirect=True)
def test_a_replacement_that_does_not_come_up_is_told_and_tried_again(lane: DecoderLane, works: Works) -> None:
    with pytest.raises(Unavailable, match="did not start"):
        worked(lane, DecoderDied(), "never asked for").result()
    assert worked(lane, "the next one").result() == "the next one"


def test_a_process_is_replaced_once_it_has_served_long(lane: DecoderLane, works: Works) -> None:
    lane.start()
    for items in range(1, RECYCLE_ITEMS + 1):
        works.made[0].items = items
        lane.recycle()
        assert works.made[0].killed == (items == RECYCLE_ITEMS)
    assert lane.pid == 2


def test_a_process_is_replaced_once_it_keeps_half_its_memory(lane: DecoderLane, works: Works) -> None:
    lane.start()
    for resident_bytes in (MEMORY_BYTES // 2 - 1, MEMORY_BYTES // 2):
        works.made[0].resident_bytes = resident_bytes
        lane.recycle()
    assert [process.killed for process in works.made] == [True, False]


@pytest.mark.parametrize("works", [lambda number: number != 2], indirect=True)
def test_a_recycled_process_without_a_successor_gets_one_with_the_next_item(lane: DecoderLane, works: Works) -> None:
    lane.start()
    works.made[0].items = RECYCLE_ITEMS
    lane.recycle()
    lane.recycle()
    assert lane.pid is None
    assert worked(lane, "the next one").result() == "the next one"


def test_close_ends_the_process_and_may_be_called_twice(lane: DecoderLane, works: Works) -> None:
    lane.start()
    lane.close()
    lane.close()
    assert works.made[0].killed
    assert lane.pid is None
