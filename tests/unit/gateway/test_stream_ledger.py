from pixvec.catalogue.interfaces import ChunkProgress, ItemStatus
from pixvec.domain import IngestStage, ItemError
from services.gateway.stream_ledger import StreamLedger

QUEUED, DECODED, EMBEDDED, INDEXED = IngestStage
TRUNCATED = ItemError("PICTURE_TRUNCATED", "cut short")


def status(ordinal, stage=QUEUED, error=None):
    return ItemStatus(ordinal, f"image{ordinal}", stage, error)


def opened(wait, *ordinals, chunk=0):
    ledger = StreamLedger(wait)
    for ordinal in ordinals:
        ledger.arrived(ordinal)
    statuses = [status(ordinal) for ordinal in ordinals]
    assert ledger.added(chunk, statuses)
    ledger.sent(statuses)
    return ledger


def test_an_item_is_open_until_its_end_was_sent():
    ledger = opened(INDEXED, 1, 2)
    assert (ledger.open_count, list(ledger.open_chunks)) == (2, [0])
    _, to_read = ledger.progressed([ChunkProgress(0, INDEXED, 0)])
    assert to_read == [0]
    ended = [status(1, INDEXED), status(2, QUEUED, ItemError("PICTURE_EMPTY", "no bytes"))]
    assert ledger.settled([0], ended) == (ended, True)
    assert not ledger.all_closed
    ledger.sent(ended)
    assert ledger.all_closed


def test_a_stage_of_the_chunk_is_one_of_its_items():
    ledger = opened(INDEXED, 1, 2)
    implied, to_read = ledger.progressed([ChunkProgress(0, DECODED, 2)])
    assert [(each.ordinal, each.stage) for each in implied] == [(1, DECODED), (2, DECODED)]
    assert to_read == []
    assert ledger.progressed([ChunkProgress(0, DECODED, 2)]) == ([], [])


def test_a_caller_that_waits_for_queued_has_nothing_followed():
    ledger = opened(QUEUED, 1)
    assert ledger.all_closed


def test_a_caller_that_waits_for_a_stage_is_told_no_more_after_it():
    ledger = opened(DECODED, 1)
    implied, _ = ledger.progressed([ChunkProgress(0, EMBEDDED, 1)])
    ledger.sent(implied)
    assert ledger.all_closed


def test_items_that_ended_at_once_are_not_followed():
    ledger = StreamLedger(INDEXED)
    ledger.arrived(1)
    assert ledger.added(None, [status(1, INDEXED)])
    ledger.sent([status(1, INDEXED)])
    assert ledger.all_closed


def test_an_open_item_of_an_unknown_chunk_has_to_be_found():
    ledger = StreamLedger(INDEXED)
    ledger.arrived(1)
    assert not ledger.added(None, [status(1)])
    ledger.adopt([ChunkProgress(4, QUEUED, 1)], [status(1)])
    assert list(ledger.open_chunks) == [4]
    assert ledger.added(None, [status(1)])


def test_the_items_of_an_adopted_chunk_are_read_at_every_stage():
    ledger = StreamLedger(INDEXED)
    ledger.adopt([ChunkProgress(4, QUEUED, 1), ChunkProgress(3, INDEXED, 0)], [status(1)])
    assert ledger.progressed([ChunkProgress(4, DECODED, 1)]) == ([], [4])
    assert ledger.settled([4], [status(1, DECODED)]) == ([status(1, DECODED)], True)
    assert list(ledger.open_chunks) == [4]
    ledger.progressed([ChunkProgress(4, INDEXED, 0)])
    assert ledger.settled([4], [status(1, INDEXED)]) == ([status(1, INDEXED)], True)
    assert ledger.all_closed


def test_an_item_missing_from_its_chunk_is_in_an_earlier_one():
    ledger = opened(INDEXED, 1, 2)
    ledger.progressed([ChunkProgress(0, INDEXED, 0)])
    assert ledger.settled([0], [status(1, INDEXED)]) == ([status(1, INDEXED)], False)


def test_a_stage_is_not_one_of_items_that_have_ended():
    ledger = opened(DECODED, 1, 2)
    assert ledger.progressed([ChunkProgress(0, DECODED, 1)]) == ([], [0])
    read = [status(1, DECODED), status(2, DECODED, TRUNCATED)]
    assert ledger.settled([0], read) == (read, True)
    ledger.sent(read)
    assert ledger.all_closed


def test_what_ends_early_is_told_once_and_what_is_left_goes_on():
    ledger = opened(INDEXED, 1, 2, 3)
    assert ledger.progressed([ChunkProgress(0, QUEUED, 2)]) == ([], [0])
    read = [status(1), status(2, error=TRUNCATED), status(3)]
    assert ledger.settled([0], read) == ([read[1]], True)
    implied, to_read = ledger.progressed([ChunkProgress(0, DECODED, 2)])
    assert ([each.ordinal for each in implied], to_read) == ([1, 3], [])
    assert ledger.progressed([ChunkProgress(0, DECODED, 1)]) == ([], [0])
    read = [status(1, INDEXED), status(2, DECODED, TRUNCATED), status(3, DECODED)]
    assert ledger.settled([0], read) == ([read[0]], True)


def test_items_that_could_not_be_read_are_asked_for_again():
    ledger = opened(INDEXED, 1, 2)
    moved = ChunkProgress(0, DECODED, 1)
    assert ledger.progressed([moved]) == ledger.progressed([moved]) == ([], [0])


def test_a_chunk_that_is_begun_again_is_not_told_of_twice():
    ledger = opened(INDEXED, 1, 2)
    ledger.progressed([ChunkProgress(0, EMBEDDED, 2)])
    ledger.progressed([ChunkProgress(0, QUEUED, 1)])
    assert ledger.settled([0], [status(1, INDEXED), status(2)]) == ([status(1, INDEXED)], True)
    assert ledger.progressed([ChunkProgress(0, DECODED, 1)]) == ([], [])
