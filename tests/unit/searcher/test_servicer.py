import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pixvec.api.v1.common_pb2 import SearchParams
from pixvec.catalogue.feed import FeedBatch
from pixvec.domain import RegionSettings, SearchOptions
from pixvec.errors import DigestMismatch, InvalidRequest, InvalidVector, Unavailable
from pixvec.index import snapshot
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.rpc.apart import MANY_HITS
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.pusher import to_apply_request
from pixvec.rpc.records import encode_record
from services.searcher import servicer
from services.searcher.converters import to_search_response
from services.searcher.search import Answer
from tests.in_loop import in_loop
from tests.unit.searcher.searching import SPACE, Bench, Context, found, names, vector


async def push(bench: Bench, batch: FeedBatch) -> pb.ApplyResponse:
    return await bench.service.Apply(to_apply_request(batch), Context())


@in_loop
async def test_a_push_that_follows_on_is_applied(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        (batch,) = bench.index(collection, 1, 2)
        bench.database.is_down = True
        response = await push(bench, batch)
        assert (response.outcome, response.applied_seq) == (pb.APPLY_OUTCOME_APPLIED, 2)
        assert found(held) == names(1, 2)
        assert (await push(bench, batch)).outcome == pb.APPLY_OUTCOME_APPLIED


@in_loop
async def test_a_push_beyond_a_gap_makes_the_follower_read_the_feed(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        bench.index(collection, 1)
        (batch,) = bench.index(collection, 2)
        assert (await push(bench, batch)).outcome == pb.APPLY_OUTCOME_WILL_CATCH_UP
        while held.applied_seq < 2:
            await held.changed()
        assert found(held) == names(1, 2)


@in_loop
async def test_a_push_for_a_shard_not_held_makes_the_follower_look(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        running = asyncio.create_task(bench.follower.run())
        await bench.follower.polled()
        collection = bench.collection()
        (batch,) = bench.index(collection, 1)
        assert (await push(bench, batch)).outcome == pb.APPLY_OUTCOME_WILL_CATCH_UP
        while bench.host.get((collection.collection_id, 0)) is None:
            await bench.follower.polled()
        running.cancel()


@in_loop
async def test_a_push_of_another_epoch_is_not_applied(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        (batch,) = bench.index(collection, 1)
        request = to_apply_request(batch)
        request.epoch = "another"
        response = await bench.service.Apply(request, Context())
        assert response.outcome == pb.APPLY_OUTCOME_WILL_CATCH_UP
        assert held.applied_seq == 0


@in_loop
async def test_pushes_beyond_those_that_may_wait_are_left_to_the_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        (first,), (second,) = bench.index(collection, 1), bench.index(collection, 2)
        with closing(BlockingCalls("applies", 1, max_waiting=1)) as applying:
            monkeypatch.setattr(bench.service, "_applying", applying)
            let_go = threading.Event()
            waiting = applying.start(let_go.wait, 30)
            assert (await push(bench, first)).outcome == pb.APPLY_OUTCOME_WILL_CATCH_UP
            let_go.set()
            await waiting
        while held.applied_seq < second.entries[-1].seq:
            await held.changed()
        assert found(held) == names(1, 2)


@pytest.mark.parametrize("seqs", [[3, 4], [5, 5], [6, 5]])
@in_loop
async def test_rows_out_of_order_are_refused(tmp_path: Path, seqs: list[int]) -> None:
    with Bench(tmp_path) as bench:
        entries = [pb.FeedEntry(seq=seq, image_id="a", deleted=True) for seq in seqs]
        request = pb.ApplyRequest(collection_id=1, shard=0, epoch="e", prev_seq=3, entries=entries)
        with pytest.raises(InvalidRequest, match="ascend") as caught:
            await bench.service.Apply(request, Context())
        assert caught.value.field == "entries"


def search_request(collection_id: int, vectors: np.ndarray, **fields: object) -> pb.SearchRequest:
    request = pb.SearchRequest(
        collection_id=collection_id, shards=[0], space="image", vectors=vectors.tobytes(), dim=SPACE.dim, k=2
    )
    request.MergeFrom(pb.SearchRequest(**fields))
    return request


@in_loop
async def test_many_queries_in_one_call(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, *range(10))
        await bench.ready(collection)
        queries = np.stack([vector(number) for number in range(10)])
        response = await bench.service.Search(search_request(collection.collection_id, queries), Context())
        assert [row.image_ids[0] for row in response.rows] == [f"image-{number}" for number in range(10)]
        assert all(len(row.image_ids) == len(row.scores) == 2 for row in response.rows)
        assert list(response.shards_answered) == [0]


@pytest.mark.parametrize(("k", "in_loop_thread"), [(10, True), (MANY_HITS // 2, False)])
@in_loop
async def test_very_many_hits_are_packed_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int, in_loop_thread: bool
) -> None:
    threads = []

    def noted(answer: Answer) -> pb.SearchResponse:
        threads.append(threading.current_thread())
        return to_search_response(answer)

    monkeypatch.setattr(servicer, "to_search_response", noted)
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        await bench.ready(collection)
        queries = np.stack([vector(1), vector(2)])
        request = search_request(collection.collection_id, queries)
        request.k = k
        assert [row.image_ids[0] for row in (await bench.service.Search(request, Context())).rows] == [
            "image-1",
            "image-2",
        ]
        assert (threads == [threading.current_thread()]) is in_loop_thread


@in_loop
async def test_min_score_of_zero_is_one(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        await bench.ready(collection)
        opposite = -vector(1)[None]
        without = await bench.service.Search(search_request(collection.collection_id, opposite), Context())
        assert len(without.rows[0].image_ids) == 1
        request = search_request(collection.collection_id, opposite, min_score=0.0)
        assert len((await bench.service.Search(request, Context())).rows[0].image_ids) == 0


@in_loop
async def test_params_reach_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        held = await bench.ready(collection)
        asked = []
        monkeypatch.setattr(held.index, "search", lambda *arguments: asked.append(arguments[-1]) or [])
        params = SearchParams(exact=True, ef=300, nprobe=20, rescore=1.5)
        await bench.service.Search(search_request(collection.collection_id, vector(1)[None], params=params), Context())
        await bench.service.Search(search_request(collection.collection_id, vector(1)[None]), Context())
        assert asked == [SearchOptions(exact=True, ef=300, nprobe=20, rescore=1.5), SearchOptions()]


@pytest.mark.parametrize("data", [b"", bytes(15)])
@in_loop
async def test_bytes_that_are_no_rows_are_refused(tmp_path: Path, data: bytes) -> None:
    with Bench(tmp_path) as bench:
        request = pb.SearchRequest(collection_id=1, shards=[0], vectors=data, dim=4, k=1)
        with pytest.raises(InvalidVector, match="no rows of 4") as caught:
            await bench.service.Search(request, Context(None))
        assert caught.value.field == "vectors"


REGIONS = replace(SPACE, name="region", regions=RegionSettings("found"))


@asynccontextmanager
async def bench_of_regions(folder: Path) -> AsyncIterator[tuple[Bench, int]]:
    """Two images: image-1 of one region, image-2 of three, each pointing as `vector` of 10 times its image and more."""
    with Bench(folder) as bench:
        collection = bench.collection(spaces=(SPACE, REGIONS))
        for number, count in ((1, 1), (2, 3)):
            rows = np.stack([vector(10 * number + ordinal) for ordinal in range(count)])
            spaces = {"image": (SPACE, vector(number)), "region": (REGIONS, rows)}
            bench.index(collection, number, record=encode_record(spaces, {}))
        await bench.ready(collection)
        yield bench, collection.collection_id


@in_loop
async def test_hits_of_regions_say_which(tmp_path: Path) -> None:
    async with bench_of_regions(tmp_path) as (bench, collection_id):
        request = search_request(collection_id, np.stack([vector(22), vector(10)]))
        request.space = "region"
        response = await bench.service.Search(request, Context())
        assert [(row.image_ids[0], row.ordinals[0]) for row in response.rows] == [("image-2", 2), ("image-1", 0)]
        request.space = "image"
        assert not any(row.ordinals for row in (await bench.service.Search(request, Context())).rows)


@in_loop
async def test_one_row_of_an_image_can_be_asked_for(tmp_path: Path) -> None:
    async with bench_of_regions(tmp_path) as (bench, collection_id):
        request = pb.GetVectorsRequest(
            collection_id=collection_id, space="region", image_ids=["image-2", "image-1", "gone"], ordinals=[1, 1, 0]
        )
        (only,) = (await bench.service.GetVectors(request, Context())).vectors
        assert only.image_id == "image-2"
        expected = vector(21) / np.linalg.norm(vector(21))
        assert np.allclose(np.frombuffer(only.data, "<f4"), expected, atol=1e-3)


@in_loop
async def test_named_images_are_scored(tmp_path: Path) -> None:
    async with bench_of_regions(tmp_path) as (bench, collection_id):
        queries = np.stack([vector(22), vector(10)])
        request = pb.ScoreRequest(
            collection_id=collection_id,
            space="region",
            vectors=queries.tobytes(),
            dim=SPACE.dim,
            image_ids=["image-2", "image-1", "gone"],
        )
        two, one = (await bench.service.Score(request, Context())).images
        assert (two.image_id, two.ordinals[0], one.image_id, list(one.ordinals)) == ("image-2", 2, "image-1", [0, 0])
        assert two.scores[0] == pytest.approx(1, abs=1e-3)
        assert one.scores[1] == pytest.approx(1, abs=1e-3)
        request.digest = bytes(32)
        with pytest.raises(DigestMismatch):
            await bench.service.Score(request, Context())


@in_loop
async def test_stored_vectors_travel_packed(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1)
        held = await bench.ready(collection)
        request = pb.GetVectorsRequest(
            collection_id=collection.collection_id, shard=0, space="image", image_ids=["image-1", "image-2"]
        )
        (stored,) = (await bench.service.GetVectors(request, Context())).vectors
        assert stored.image_id == "image-1"
        assert stored.data == held.index.vectors("image", ["image-1"])["image-1"].tobytes()


@in_loop
async def test_snapshot_writes_and_status_tells(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection()
        bench.index(collection, 1, 2)
        held = await bench.ready(collection)
        status = await bench.service.Status(pb.StatusRequest(), Context())
        (shard,) = status.shards
        assert (status.searcher_id, shard.ready, shard.applied_seq, shard.snapshot_seq) == ("searcher", True, 2, 0)
        assert (shard.epoch, shard.image_count, shard.vector_bytes) == (held.epoch, 2, 32)
        response = await bench.service.Snapshot(pb.SnapshotRequest(), Context())
        assert response.shards[0].snapshot_seq == 2


@in_loop
async def test_a_snapshot_that_cannot_be_written_is_told_and_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = snapshot.write_snapshot

    def full(folder: Path, *arguments: object) -> Path:
        if folder.name.endswith("-0"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(folder, *arguments)

    monkeypatch.setattr(snapshot, "write_snapshot", full)
    with Bench(tmp_path) as bench:
        collection = bench.collection(shards=2)
        bench.index(collection, *range(20))
        held = [await bench.ready(collection, shard) for shard in range(2)]
        with pytest.raises(Unavailable, match=r"shard 0 of collection photos: .*No space left") as caught:
            await bench.service.Snapshot(pb.SnapshotRequest(), Context())
        assert "shard 1" not in caught.value.message
        assert [each.snapshot_seq for each in held] == [0, held[1].applied_seq]
