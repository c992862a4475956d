import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from pixvec.catalogue.feed import FeedEntry
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import IngestStage, ShardPosition
from pixvec.errors import CollectionNotFound, ImageNotFound
from tests.contract.catalogues import BROKEN, Bench, item


def live(entries: Sequence[FeedEntry]) -> dict[str, bytes]:
    """Replay rows as a follower does."""
    found: dict[str, bytes] = {}
    for entry in entries:
        found.pop(entry.image_id, None)
        if not entry.deleted:
            found[entry.image_id] = entry.record
    return found


def test_a_commit_makes_images_found_and_says_where(bench: Bench) -> None:
    photos = bench.collection(shards=3)
    job_id = bench.job(photos)
    leased = bench.lease(bench.add(job_id, *(item(n) for n in range(30))))
    batches = bench.commit(leased, leased.items)
    assert [batch.shard for batch in batches] == [0, 1, 2]
    for batch in batches:
        assert batch.prev_seq == 0
        assert [entry.seq for entry in batch.entries] == list(range(1, len(batch.entries) + 1))
        assert all(shard_of(entry.image_id, 3) == batch.shard for entry in batch.entries)
        page = bench.catalogue.feed_reader.read(photos.collection_id, batch.shard, 0, 100)
        assert (page.entries, page.epoch) == (batch.entries, batch.epoch)
        assert page.through_seq == page.head_seq == len(batch.entries)
    positions = {status.image_id: status.position for status in bench.catalogue.jobs.statuses(job_id)}
    assert positions == {
        entry.image_id: ShardPosition(batch.shard, batch.epoch, entry.seq)
        for batch in batches
        for entry in batch.entries
    }
    image = bench.catalogue.images.get(photos.collection_id, "image-3")
    assert (image.state, image.format, image.width, image.height) == ("indexed", "JPEG", 40, 30)


def test_running_a_chunk_twice_changes_nothing(bench: Bench) -> None:
    photos = bench.collection()
    ref = bench.add(bench.job(photos), item(0), item(1), item(2))
    stale = bench.lease(ref, "slow")
    bench.expire_leases()
    leased = bench.lease(ref, "quick")
    assert bench.commit(leased, leased.items[:2], leased.items[2:]) != []
    before = bench.catalogue.jobs.statuses(ref.job_id)
    assert bench.commit(stale, stale.items) == []
    assert bench.commit(leased, [], leased.items) == []
    assert bench.catalogue.jobs.statuses(ref.job_id) == before
    assert bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10).head_seq == 2
    assert bench.catalogue.jobs.get(ref.job_id).indexed == 2


def test_a_replacement_moves_the_image_to_the_end_of_the_feed(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0), item(1))
    [batch] = bench.index(photos, item(0, content="newer"))
    page = bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10)
    assert [(entry.seq, entry.image_id) for entry in page.entries] == [(2, "image-1"), (3, "image-0")]
    assert batch.prev_seq == 2
    assert bench.catalogue.images.get(photos.collection_id, "image-0").content_hash == "newer"


def test_a_newer_write_wins_over_a_late_embed(bench: Bench) -> None:
    photos = bench.collection()
    late = bench.lease(bench.add(bench.job(photos), item(0, content="old")))
    [batch] = bench.index(photos, item(0, content="new"))
    assert bench.commit(late, late.items) == []
    [status] = bench.catalogue.jobs.statuses(late.ref.job_id)
    assert (status.stage, status.position, status.error) == (IngestStage.INDEXED, None, None)
    assert bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10).entries == batch.entries


def test_a_delete_wins_over_a_late_embed(bench: Bench) -> None:
    photos = bench.collection()
    late = bench.lease(bench.add(bench.job(photos), item(0), item(1)))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    assert (deleted.deleted, deleted.batches, deleted.token.positions) == (1, (), ())
    [batch] = bench.commit(late, late.items)
    assert [entry.image_id for entry in batch.entries] == ["image-1"]
    with pytest.raises(ImageNotFound):
        bench.catalogue.images.get(photos.collection_id, "image-0")
    job = bench.catalogue.jobs.get(late.ref.job_id)
    assert (job.indexed, job.queued) == (2, 0)


def test_an_embed_from_before_a_delete_never_matches_what_came_after(bench: Bench) -> None:
    photos = bench.collection()
    late = bench.lease(bench.add(bench.job(photos), item(0, content="old")))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    bench.add(bench.job(photos), item(0, content="new"))
    assert bench.commit(late, late.items) == []
    assert bench.catalogue.images.get(photos.collection_id, "image-0").state == "pending"


def test_a_delete_leaves_a_tombstone_under_the_next_number(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0), item(1))
    deleted = bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0", "image-0", "nope"])
    assert (deleted.deleted, deleted.not_found) == (1, 1)
    [batch] = deleted.batches
    assert batch.entries == (FeedEntry(3, "image-0", True, b""),)
    assert deleted.token.positions == (ShardPosition(0, batch.epoch, 3),)
    reader = bench.catalogue.feed_reader
    assert [entry.image_id for entry in reader.read(photos.collection_id, 0, 0, 10).entries] == ["image-1"]
    assert reader.read(photos.collection_id, 0, 2, 10).entries == batch.entries
    again = bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    assert (again.not_found, again.batches) == (1, ())
    # Whoever sends it again after a lost answer waits for what the first one did.
    assert again.token == deleted.token
    assert reader.read(photos.collection_id, 0, 0, 10).head_seq == 3


def test_a_delete_of_what_was_never_there_waits_for_nothing(bench: Bench) -> None:
    photos = bench.collection()
    assert bench.catalogue.feed_writer.delete(photos.collection_id, ["nope"]).token.positions == ()


def test_an_image_can_come_back_after_its_delete(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0"])
    bench.index(photos, item(0))
    page = bench.catalogue.feed_reader.read(photos.collection_id, 0, 1, 10)
    assert [(entry.seq, entry.deleted) for entry in page.entries] == [(3, False)]


def test_a_failed_replacement_leaves_the_version_that_can_be_found(bench: Bench) -> None:
    photos = bench.collection()
    bench.index(photos, item(0))
    leased = bench.lease(bench.add(bench.job(photos), item(0, content="broken"), item(1)))
    assert bench.commit(leased, [], leased.items) == []
    kept, lost = (bench.catalogue.images.get(photos.collection_id, f"image-{n}") for n in range(2))
    assert (kept.state, kept.error, kept.content_hash) == ("indexed", None, "hash of image-0")
    assert (lost.state, lost.error) == ("failed", BROKEN)
    # What is there is the newest again: the same bytes need no work.
    assert bench.catalogue.jobs.add_items(bench.job(photos), [item(0)]).statuses[0].unchanged


def test_pages_cover_the_feed_without_gap_or_overlap(bench: Bench) -> None:
    photos = bench.collection()
    for n in range(7):
        bench.index(photos, item(n))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-6"])
    reader, seen, at = bench.catalogue.feed_reader, [], 0
    while True:
        page = reader.read(photos.collection_id, 0, at, 3)
        seen += page.entries
        at = page.through_seq
        if at == page.head_seq:
            break
    assert [entry.seq for entry in seen] == [1, 2, 3, 4, 5, 6, 8]
    assert at == 8


def test_an_empty_feed_and_one_that_is_not_there(bench: Bench) -> None:
    photos = bench.collection()
    page = bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 10)
    assert (page.entries, page.through_seq, page.head_seq) == ((), 0, 0)
    for collection_id, shard in ((photos.collection_id, 1), (4711, 0)):
        with pytest.raises(CollectionNotFound):
            bench.catalogue.feed_reader.read(collection_id, shard, 0, 10)


def test_tombstones_go_once_every_snapshot_has_passed_them(bench: Bench) -> None:
    photos, topology = bench.collection(), bench.catalogue.topology
    for n in (1, 2):
        topology.heartbeat(f"s{n}", f"s{n}:1", [], lease_s=60.0)
    topology.rebalance(2)
    bench.index(photos, *(item(n) for n in range(4)))
    bench.catalogue.feed_writer.delete(photos.collection_id, ["image-0", "image-1", "image-2"])

    def report(searcher_id: str, snapshot_seq: int) -> None:
        reports = [ShardReport(photos.collection_id, 0, True, snapshot_seq)]
        topology.heartbeat(searcher_id, f"{searcher_id}:1", reports, lease_s=60.0)

    reader = bench.catalogue.feed_reader
    report("s1", 7)
    assert reader.prune_tombstones(10) == 0
    report("s2", 6)
    assert reader.prune_tombstones(1) == 1
    assert reader.prune_tombstones(10) == 1
    assert reader.prune_tombstones(10) == 0
    page = reader.read(photos.collection_id, 0, 4, 10)
    assert [entry.seq for entry in page.entries] == [7]
    assert page.tombstone_floor == 6
    assert [each.tombstone_floor for each in topology.assignments("s1")] == [6]


def test_followers_of_parallel_writers_skip_nothing_and_see_numbers_in_order(bench: Bench) -> None:
    photos = bench.collection()
    done = threading.Event()

    def follow() -> list[FeedEntry]:
        seen: list[FeedEntry] = []
        at = 0
        while True:
            last_round = done.is_set()
            page = bench.catalogue.feed_reader.read(photos.collection_id, 0, at, 5)
            assert [entry.seq for entry in page.entries] == sorted(entry.seq for entry in page.entries)
            assert all(at < entry.seq <= page.through_seq <= page.head_seq for entry in page.entries)
            seen += page.entries
            at = page.through_seq
            if last_round and at == page.head_seq:
                return seen

    def write(worker: int) -> None:
        for turn in range(6):
            names = [f"image-{(worker + turn * 3 + k) % 12}" for k in range(4)]
            items = [item(k, name, content=f"{worker}/{turn}") for k, name in enumerate(names)]
            bench.index(photos, *items)
            if turn % 2:
                bench.catalogue.feed_writer.delete(photos.collection_id, names[:2])

    with ThreadPoolExecutor(8) as pool:
        followers = [pool.submit(follow) for _ in range(2)]
        writers = [pool.submit(write, worker) for worker in range(5)]
        wait(writers)
        done.set()
        for writer in writers:
            writer.result()
        histories = [follower.result() for follower in followers]
    truth = live(bench.catalogue.feed_reader.read(photos.collection_id, 0, 0, 1000).entries)
    for history in histories:
        assert [entry.seq for entry in history] == sorted({entry.seq for entry in history})
        assert live(history) == truth
    assert bench.catalogue.collections.count_images(photos.collection_id) == len(truth)
