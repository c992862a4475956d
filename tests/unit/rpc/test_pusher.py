from pixvec.catalogue.feed import FeedBatch, FeedEntry
from pixvec.rpc.pusher import in_turns, merge_batches, to_apply_request


def batch(shard, prev_seq, *seqs, epoch="e"):
    entries = tuple(FeedEntry(seq, f"image{seq}", deleted=False, record=b"r") for seq in seqs)
    return FeedBatch(1, shard, epoch, prev_seq, entries)


def test_batches_that_follow_on_become_one():
    merged = merge_batches([batch(0, 0, 1, 2), batch(1, 0, 1), batch(0, 2, 3)])
    assert [(each.shard, each.prev_seq, [entry.seq for entry in each.entries]) for each in merged] == [
        (0, 0, [1, 2, 3]),
        (1, 0, [1]),
    ]


def test_a_gap_or_another_epoch_keeps_them_apart():
    assert len(merge_batches([batch(0, 0, 1), batch(0, 5, 6)])) == 2
    assert len(merge_batches([batch(0, 0, 1), batch(0, 1, 2, epoch="f")])) == 2


def test_empty_batches_are_left_out():
    assert merge_batches([batch(0, 0)]) == []


def test_batches_of_one_shard_take_turns_in_order():
    first, second, other = batch(0, 0, 1), batch(0, 5, 6), batch(1, 0, 1)
    assert in_turns([first, second, other]) == [[first, other], [second]]


def test_a_batch_travels_whole():
    request = to_apply_request(batch(3, 7, 8, 9))
    assert (request.collection_id, request.shard, request.epoch, request.prev_seq) == (1, 3, "e", 7)
    assert [(entry.seq, entry.image_id, entry.record) for entry in request.entries] == [
        (8, "image8", b"r"),
        (9, "image9", b"r"),
    ]
