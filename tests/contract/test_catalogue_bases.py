"""Base snapshots: which a feed may go on from, when it may begin there, and which may go."""

import uuid

import pytest

from pixvec.catalogue.bases import BaseContent
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import BaseSnapshot, Collection, ShardPosition
from pixvec.errors import CollectionNotFound, FailedPrecondition, SnapshotNotFound
from tests.contract.catalogues import Bench, item

DAY_S = 86400.0


def content(seq: int) -> BaseContent:
    return BaseContent(seq, f"backups/{seq}.json", f"{seq:064x}", 3, 1000)


def epoch_of(bench: Bench, collection: Collection) -> str:
    return bench.catalogue.feed_reader.read(collection.collection_id, 0, 0, 1).epoch


def begin(bench: Bench, collection: Collection) -> str:
    return bench.catalogue.bases.begin(collection.collection_id, 0, epoch_of(bench, collection)).base_id


def base(bench: Bench, collection: Collection, seq: int) -> BaseSnapshot:
    return bench.catalogue.bases.finish(begin(bench, collection), content(seq))


def held(bench: Bench, collection: Collection, snapshot_seq: int) -> None:
    """Have a searcher hold the shard, with a snapshot of its own at this seq."""
    topology = bench.catalogue.topology
    topology.heartbeat("s1", "s1:1", [], lease_s=60.0)
    topology.rebalance(1)
    report = ShardReport(collection.collection_id, 0, True, snapshot_seq)
    topology.heartbeat("s1", "s1:1", [report], lease_s=60.0)


def ids(bases: "list[BaseSnapshot] | tuple[BaseSnapshot, ...]") -> list[str]:
    return [each.base_id for each in bases]


def test_a_base_is_offered_once_it_is_finished(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    bench.index(photos, item(0), item(1))
    epoch = epoch_of(bench, photos)
    opened = bases.begin(photos.collection_id, 0, epoch)
    assert (opened.collection_id, opened.shard, opened.epoch, opened.known) == (photos.collection_id, 0, epoch, ())
    reader = bench.catalogue.feed_reader
    assert reader.read(photos.collection_id, 0, 0, 10).bases == ()
    assert bases.of_collection() == []
    finished = bases.finish(opened.base_id, content(2))
    assert (finished.seq, finished.epoch, finished.made_in, finished.is_sound) == (2, epoch, epoch, True)
    assert (finished.manifest, finished.manifest_sha256, finished.image_count, finished.size_bytes) == (
        "backups/2.json",
        f"{2:064x}",
        3,
        1000,
    )
    page = reader.read(photos.collection_id, 0, 0, 10)
    assert (page.bases, len(page.entries)) == ((finished,), 2)
    assert reader.read(photos.collection_id, 0, 1, 10).bases == ()
    assert bases.of_collection() == bases.of_collection(photos.collection_id) == [finished]
    assert bases.begin(photos.collection_id, 0, epoch).known == (finished,)


def test_what_is_abandoned_is_not_finished_and_what_is_finished_not_abandoned(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    given_up = begin(bench, photos)
    bases.abandon(given_up, "disk full")
    bases.abandon(given_up, "again")
    with pytest.raises(FailedPrecondition, match="create it again"):
        bases.finish(given_up, content(0))
    finished = base(bench, photos, 0)
    bases.abandon(finished.base_id, "the answer was lost")
    with pytest.raises(FailedPrecondition, match="create it again"):
        bases.finish(finished.base_id, content(0))
    with pytest.raises(FailedPrecondition, match="create it again"):
        bases.finish(str(uuid.uuid4()), content(0))
    assert bases.of_collection() == [finished]
    assert {each.damage for each in bases.of_shard(photos.collection_id, 0)} == {"disk full", ""}


def test_only_the_feed_that_is_followed_gets_a_base(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    with pytest.raises(FailedPrecondition, match="epoch"):
        bases.begin(photos.collection_id, 0, str(uuid.uuid4()))
    for collection_id, shard in ((photos.collection_id, 1), (4711, 0)):
        with pytest.raises(CollectionNotFound):
            bases.begin(collection_id, shard, epoch_of(bench, photos))
    opened = begin(bench, photos)
    bases.restore(photos.collection_id, {})
    with pytest.raises(FailedPrecondition, match="renewed"):
        bases.finish(opened, content(0))
    opened = begin(bench, photos)
    bench.catalogue.collections.delete("photos")
    with pytest.raises(FailedPrecondition, match="renewed"):
        bases.finish(opened, content(0))


def test_a_truncated_feed_sends_those_below_to_its_bases(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    bench.index(photos, *(item(n) for n in range(4)))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    made = base(bench, photos, 5)
    bench.index(photos, item(9))
    held(bench, photos, 5)
    assert bases.truncatable() == [made]
    assert bases.truncate(made.base_id)
    assert not bases.truncate(made.base_id)
    assert bases.truncatable() == []
    for after_seq in (0, 1, 4):
        page = reader.read(photos.collection_id, 0, after_seq, 10)
        assert (page.entries, page.through_seq, page.truncated_seq, page.head_seq) == ((), after_seq, 5, 6)
        assert (page.bases, page.tombstone_floor) == ((made,), 5)
    page = reader.read(photos.collection_id, 0, 5, 10)
    assert ([entry.seq for entry in page.entries], page.through_seq, page.bases) == ([6], 6, ())
    [assignment] = bench.catalogue.topology.assignments("s1")
    assert assignment.tombstone_floor == 5


def test_the_rows_of_a_truncated_feed_go_bit_by_bit_and_nothing_else_does(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    others = bench.collection("others")
    bench.index(others, item(0), item(1))
    bench.index(photos, *(item(n) for n in range(4)))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    held(bench, photos, 5)
    assert reader.prune_truncated(100) == 0
    bases.truncate(base(bench, photos, 5).base_id)
    bench.index(photos, item(1, content="newer"))
    assert [reader.prune_truncated(2) for _ in range(3)] == [2, 1, 0]
    assert [entry.image_id for entry in reader.read(photos.collection_id, 0, 5, 10).entries] == ["image-1"]
    assert len(reader.read(others.collection_id, 0, 0, 10).entries) == 2
    assert bench.catalogue.collections.count_images(photos.collection_id) == 3


def test_an_image_below_the_truncation_lives_on(bench: Bench) -> None:
    photos, reader = bench.collection(), bench.catalogue.feed_reader
    bench.index(photos, *(item(n) for n in range(3)))
    held(bench, photos, 3)
    bench.catalogue.bases.truncate(base(bench, photos, 3).base_id)
    reader.prune_truncated(10)
    again = bench.catalogue.jobs.add_items(bench.job(photos), [item(0)])
    assert again.statuses[0].unchanged
    assert again.statuses[0].position == ShardPosition(0, epoch_of(bench, photos), 3)
    bench.index(photos, item(1, content="newer"))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["image-2"])
    assert deleted.deleted == 1
    page = reader.read(photos.collection_id, 0, 3, 10)
    assert [(entry.image_id, entry.deleted) for entry in page.entries] == [("image-1", False), ("image-2", True)]
    assert bench.catalogue.collections.count_images(photos.collection_id) == 2


def test_no_searcher_is_left_behind_by_a_truncation(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    bench.index(photos, *(item(n) for n in range(6)))
    older, newer = base(bench, photos, 3), base(bench, photos, 6)
    assert bases.truncatable() == []
    assert not bases.truncate(older.base_id)
    held(bench, photos, 2)
    assert bases.truncatable() == []
    held(bench, photos, 5)
    assert bases.truncatable() == [older]
    assert not bases.truncate(newer.base_id)
    held(bench, photos, 6)
    assert bases.truncatable() == [newer]


def test_a_damaged_base_truncates_nothing_and_is_offered_last(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    bench.index(photos, *(item(n) for n in range(6)))
    older, newer = base(bench, photos, 3), base(bench, photos, 6)
    held(bench, photos, 6)
    bases.note_damage(newer.base_id, "a file is missing")
    assert ids(reader.read(photos.collection_id, 0, 0, 10).bases) == [older.base_id, newer.base_id]
    assert ids(bases.begin(photos.collection_id, 0, epoch_of(bench, photos)).known) == [older.base_id]
    assert not bases.truncate(newer.base_id)
    assert ids(bases.truncatable()) == [older.base_id]
    bases.note_damage(newer.base_id, "")
    assert ids(bases.truncatable()) == [newer.base_id]
    assert ids(reader.read(photos.collection_id, 0, 0, 10).bases) == [newer.base_id, older.base_id]


def test_tombstones_wait_for_every_base_and_for_one_that_is_being_made(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    bench.index(photos, *(item(n) for n in range(3)))
    made = base(bench, photos, 3)
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    held(bench, photos, 4)
    assert reader.prune_tombstones(10) == 0
    opened = begin(bench, photos)
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-1"])
    newer = base(bench, photos, 5)
    held(bench, photos, 5)
    bases.abandon(opened, "slow")
    opened = begin(bench, photos)
    assert bases.retire(1, DAY_S) == 0
    bases.abandon(opened, "slow")
    assert bases.retire(1, DAY_S) == 1
    opened = begin(bench, photos)
    assert reader.prune_tombstones(10) == 0
    bases.finish(opened, content(5))
    assert reader.prune_tombstones(10) == 2
    page = reader.read(photos.collection_id, 0, 0, 10)
    assert (page.tombstone_floor, made.base_id in ids(page.bases), newer.base_id in ids(page.bases)) == (5, False, True)


def test_two_are_kept_and_the_others_go_in_a_while(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    bench.index(photos, *(item(n) for n in range(4)))
    made = [base(bench, photos, seq) for seq in (1, 2, 3, 4)]
    assert bases.retire(2, DAY_S) == 2
    assert bases.retire(2, DAY_S) == 0
    assert ids(bases.of_collection()) == [made[3].base_id, made[2].base_id]
    assert bases.retired(3600.0) == []
    gone = bases.retired(0.0)
    assert sorted(ids(gone)) == sorted(ids(made[:2]))
    assert len(bases.of_shard(photos.collection_id, 0)) == 4
    for each in made:
        bases.remove(each.base_id)
    assert sorted(ids(bases.of_shard(photos.collection_id, 0))) == sorted(ids(made[2:]))


def test_a_sound_base_is_not_retired_for_a_damaged_one(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    bench.index(photos, *(item(n) for n in range(4)))
    made = [base(bench, photos, seq) for seq in (1, 2, 3, 4)]
    for each in made[2:]:
        bases.note_damage(each.base_id, "bits have flipped")
    assert bases.retire(2, DAY_S) == 2
    assert sorted(ids(bases.of_collection())) == sorted(ids(made[:2]))


def test_damaged_bases_stay_while_there_are_no_better_ones(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    bench.index(photos, *(item(n) for n in range(4)))
    made = [base(bench, photos, seq) for seq in (1, 2, 3)]
    held(bench, photos, 3)
    assert bases.truncate(made[2].base_id)
    for each in made:
        bases.note_damage(each.base_id, "bits have flipped")
    assert bases.retire(2, DAY_S) == 0
    newer = base(bench, photos, 4)
    assert bases.retire(2, DAY_S) == 0
    assert ids(bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 9).bases) == [
        newer.base_id,
        made[2].base_id,
    ]
    another = base(bench, photos, 4)
    assert bases.retire(2, DAY_S) == 3
    assert sorted(ids(bases.of_collection())) == sorted([newer.base_id, another.base_id])


def test_what_was_begun_long_ago_is_given_up(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    opened = begin(bench, photos)
    bases.retire(2, 3600.0)
    assert bases.retired(0.0) == []
    bases.retire(2, 0.0)
    assert ids(bases.retired(0.0)) == [opened]
    with pytest.raises(FailedPrecondition, match="create it again"):
        bases.finish(opened, content(0))


def test_the_bases_of_a_deleted_collection_go_too(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    made = base(bench, photos, 0)
    bench.catalogue.collections.delete("photos")
    while bench.catalogue.collections.purge(100):
        pass
    assert bases.of_collection() == []
    assert bases.retire(2, DAY_S) == 1
    assert ids(bases.retired(0.0)) == [made.base_id]
    bases.remove(made.base_id)
    assert bases.of_shard(photos.collection_id, 0) == []


def test_a_restore_renews_the_feed_from_a_base(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    bench.index(photos, *(item(n) for n in range(4)))
    older, newer = base(bench, photos, 3), base(bench, photos, 4)
    bench.index(photos, item(9))
    bases.note_damage(newer.base_id, "it seemed so")
    [position] = bases.restore(photos.collection_id, {0: newer.base_id})
    page = reader.read(photos.collection_id, 0, 0, 10)
    assert (position.epoch, position.seq, position.shard) == (page.epoch, 5, 0)
    assert page.epoch != newer.epoch
    assert (page.truncated_seq, ids(page.bases)) == (4, [newer.base_id])
    assert (page.bases[0].epoch, page.bases[0].made_in, page.bases[0].is_sound) == (page.epoch, newer.epoch, True)
    assert [entry.seq for entry in reader.read(photos.collection_id, 0, 4, 10).entries] == [5]
    assert bases.retire(2, DAY_S) == 1
    assert ids(bases.retired(0.0)) == [older.base_id]


def test_a_restore_without_a_base_takes_the_whole_feed(bench: Bench) -> None:
    photos, bases, reader = bench.collection(), bench.catalogue.bases, bench.catalogue.feed_reader
    bench.index(photos, item(0))
    made = base(bench, photos, 1)
    [position] = bases.restore(photos.collection_id, {})
    page = reader.read(photos.collection_id, 0, 0, 10)
    assert (page.epoch, page.bases, len(page.entries)) == (position.epoch, (), 1)
    bases.restore(photos.collection_id, {0: made.base_id})
    with pytest.raises(FailedPrecondition, match="name a snapshot"):
        bases.restore(photos.collection_id, {})


def test_a_restore_refuses_what_would_bring_back_the_dead_or_is_not_there(bench: Bench) -> None:
    photos, bases = bench.collection(), bench.catalogue.bases
    others = bench.collection("others")
    bench.index(photos, *(item(n) for n in range(2)))
    old, elsewhere = base(bench, photos, 1), base(bench, others, 0)
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    for _ in range(2):
        base(bench, photos, 3)
    bases.retire(2, DAY_S)
    held(bench, photos, 3)
    assert bench.catalogue.feed_reader.prune_tombstones(10) == 1
    before = epoch_of(bench, photos)
    with pytest.raises(FailedPrecondition, match="come back"):
        bases.restore(photos.collection_id, {0: old.base_id})
    for wrong in (elsewhere.base_id, str(uuid.uuid4()), "no uuid", begin(bench, photos)):
        with pytest.raises(SnapshotNotFound):
            bases.restore(photos.collection_id, {0: wrong})
    with pytest.raises(CollectionNotFound):
        bases.restore(4711, {})
    assert epoch_of(bench, photos) == before
