"""The clients of searchers: the in-memory twin, and the real one over a socket file, by one suite."""

import asyncio
import functools
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from pixvec.domain import Hit, Metric, SearchOptions, ShardPosition
from pixvec.errors import InvalidVector, ShardUnavailable, StaleToken
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.internal.v1 import searcher_service_pb2 as searcher_pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.conversions import params_from_wire, position_from_wire
from pixvec.rpc.memory_searchers import MemorySearchers
from pixvec.rpc.searcher_client import GrpcSearchers
from pixvec.rpc.shard_search import ShardScores, ShardSearch, ShardVectors, best_first
from tests.contract.rpc_server import served
from tests.in_loop import in_loop


class SearcherService(searcher_service_pb2_grpc.SearcherServiceServicer):
    """A searcher whose shards are those of the in-memory twin at address `memory`."""

    def __init__(self, twin):
        self.twin = twin

    async def Search(self, request, context):
        found = await self.twin.search_batch(
            "memory",
            ShardSearch(
                request.collection_id,
                tuple(request.shards),
                request.space,
                request.vectors,
                request.k,
                request.digest,
                request.min_score if request.HasField("min_score") else None,
                tuple(map(position_from_wire, request.wait_for)),
                params_from_wire(request.params),
                len(request.vectors) // 4 // request.dim,
            ),
            10,
        )
        rows = [
            searcher_pb.RowHits(image_ids=hits.image_ids, scores=hits.scores, ordinals=hits.ordinals)
            for hits in found.results
        ]
        # As a searcher does that holds none of the shards.
        rows = rows if found.shards_answered else []
        return searcher_pb.SearchResponse(rows=rows, shards_answered=found.shards_answered)

    async def GetVectors(self, request, context):
        wait_for = tuple(position_from_wire(position) for position in request.wait_for)
        ids, ordinals = tuple(request.image_ids), tuple(request.ordinals)
        wanted = ShardVectors(request.collection_id, request.shard, request.space, ids, wait_for, ordinals)
        found = await self.twin.get_vectors("memory", wanted, 10)
        return searcher_pb.GetVectorsResponse(
            vectors=[searcher_pb.StoredVector(image_id=image_id, data=data) for image_id, data in found.items()]
        )

    async def Score(self, request, context):
        wanted = ShardScores(
            request.collection_id,
            request.shard,
            request.space,
            request.vectors,
            len(request.vectors) // 4 // request.dim,
            tuple(request.image_ids),
            request.digest,
            tuple(map(position_from_wire, request.wait_for)),
        )
        found = await self.twin.score("memory", wanted, 10)
        return searcher_pb.ScoreResponse(
            images=[
                searcher_pb.ImageScores(image_id=image_id, scores=each.scores, ordinals=each.ordinals)
                for image_id, each in found.items()
            ]
        )

    def not_served(self, request, context):
        raise NotImplementedError

    Apply = Status = Snapshot = not_served


@asynccontextmanager
async def searchers(kind):
    spaces = [SpaceSpec(name, 2, Metric.COSINE) for name in ("image", "region")]
    shards = [NumpyShard(spaces) for _ in range(2)]
    for number, shard in enumerate(shards):
        angles = {f"{number}/{angle}": angle + number for angle in range(0, 90, 10)}
        changes = [
            Change(image_id, {"image": direction(angle), "region": regions_of(angle)})
            for image_id, angle in angles.items()
        ]
        shard.apply(changes, 7)
    twin = MemorySearchers(lambda data: np.frombuffer(data, "<f4").reshape(1, -1))
    twin.shards["memory"] = {(1, number): shard for number, shard in enumerate(shards)}
    if kind == "memory":
        yield twin, "memory"
        return
    add = functools.partial(searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server, SearcherService(twin))
    async with served(add) as handle:
        client = GrpcSearchers()
        yield client, handle.address
        await client.close()


def direction(degrees):
    return np.array([[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]], np.float32)


def regions_of(degrees):
    """An image has as many as its angle says; the last one looks where the image does, the others away."""
    return np.concatenate([direction(-degrees)] * (degrees // 10) + [direction(degrees)])


def looking(degrees, **fields):
    values = {"collection_id": 1, "shards": (0, 1), "space": "image", "k": 3} | fields
    return ShardSearch(vector=direction(degrees).tobytes(), **values)


@pytest.fixture(params=["memory", "grpc"])
def kind(request):
    return request.param


@in_loop
async def test_shards_are_searched_together(kind):
    async with searchers(kind) as (client, address):
        found = await client.search(address, looking(0), 10)
        assert [hit.image_id for hit in found.hits] == ["0/0", "1/0", "0/10"]
        assert found.hits[0].score == pytest.approx(1)
        assert sorted(found.shards_answered) == [0, 1]


@in_loop
async def test_a_batch_answers_each_vector_as_a_single_search_does(kind):
    angles = (0, 33, 77)
    vectors = b"".join(direction(angle).tobytes() for angle in angles)
    async with searchers(kind) as (client, address):
        batch = await client.search_batch(address, replace(looking(0), vector=vectors, rows=3), 10)
        singles = [await client.search(address, looking(angle), 10) for angle in angles]
        assert sorted(batch.shards_answered) == [0, 1]
        assert [hits.image_ids for hits in batch.results] == [
            [hit.image_id for hit in single.hits] for single in singles
        ]
        for hits, single in zip(batch.results, singles, strict=True):
            assert hits.scores == pytest.approx([hit.score for hit in single.hits])


@in_loop
async def test_a_batch_keeps_threshold_and_limit(kind):
    vectors = direction(0).tobytes() * 2
    async with searchers(kind) as (client, address):
        search = replace(looking(0, min_score=0.9999, k=1), vector=vectors, rows=2)
        assert [hits.image_ids for hits in (await client.search_batch(address, search, 10)).results] == [["0/0"]] * 2


@in_loop
async def test_a_batch_that_no_shard_answers_has_no_hits(kind):
    async with searchers(kind) as (client, address):
        search = replace(looking(0, shards=(5,)), vector=direction(0).tobytes() * 2, rows=2)
        batch = await client.search_batch(address, search, 10)
        assert [(hits.image_ids, hits.scores) for hits in batch.results] == [([], [])] * 2
        assert batch.shards_answered == ()


@in_loop
async def test_a_threshold_is_kept(kind):
    async with searchers(kind) as (client, address):
        found = await client.search(address, looking(0, min_score=0.9999), 10)
        assert [hit.image_id for hit in found.hits] == ["0/0"]
        assert len((await client.search(address, looking(0, min_score=-1.0, k=100), 10)).hits) == 18


@pytest.mark.parametrize(
    "options", [SearchOptions(), SearchOptions(exact=True), SearchOptions(ef=7, nprobe=8, rescore=-1)]
)
@in_loop
async def test_shards_are_told_how_hard_to_search(kind, options, monkeypatch):
    told, search = [], NumpyShard.search

    def listen(shard, *arguments):
        told.append(arguments[-1])
        return search(shard, *arguments)

    monkeypatch.setattr(NumpyShard, "search", listen)
    async with searchers(kind) as (client, address):
        await client.search(address, looking(0, options=options), 10)
    assert told == [options, options]


@in_loop
async def test_shards_that_are_not_there_do_not_answer(kind):
    async with searchers(kind) as (client, address):
        found = await client.search(address, looking(0, shards=(0, 5)), 10)
        assert found.shards_answered == (0,)


@in_loop
async def test_positions_are_waited_for_or_refused(kind):
    async with searchers(kind) as (client, address):
        await client.search(address, looking(0, wait_for=(ShardPosition(0, "memory", 7),)), 10)
        with pytest.raises(ShardUnavailable):
            await client.search(address, looking(0, wait_for=(ShardPosition(0, "memory", 8),)), 10)
        with pytest.raises(StaleToken):
            await client.search(address, looking(0, wait_for=(ShardPosition(0, "before", 7),)), 10)


@in_loop
async def test_vectors_of_another_dimension_are_refused(kind):
    async with searchers(kind) as (client, address):
        with pytest.raises(InvalidVector):
            await client.search(address, ShardSearch(1, (0,), "image", bytes(12), 3), 10)


@in_loop
async def test_stored_vectors_are_returned(kind):
    async with searchers(kind) as (client, address):
        found = await client.get_vectors(address, ShardVectors(1, 0, "image", ("0/30", "nothing", "0/0")), 10)
        assert set(found) == {"0/30", "0/0"}
        assert np.frombuffer(found["0/30"], "<f4") == pytest.approx(direction(30)[0], abs=1e-6)


@in_loop
async def test_hits_say_which_of_their_images_rows_they_are(kind):
    async with searchers(kind) as (client, address):
        found = await client.search(address, looking(41, space="region", k=2), 10)
        assert [(hit.image_id, hit.ordinal) for hit in found.hits] == [("1/40", 4), ("0/40", 4)]
        alone = await client.search(address, looking(0, k=1), 10)
        assert [(hit.image_id, hit.ordinal) for hit in alone.hits] == [("0/0", 0)]
        batch = await client.search_batch(address, looking(41, space="region", k=2), 10)
        assert [(hits.image_ids, list(hits.ordinals)) for hits in batch.results] == [(["1/40", "0/40"], [4, 4])]


@in_loop
async def test_one_row_of_an_image_is_returned(kind):
    async with searchers(kind) as (client, address):
        wanted = ShardVectors(1, 0, "region", ("0/30", "0/20", "nothing", "0/10"), (), (3, 0, 0, 2))
        found = await client.get_vectors(address, wanted, 10)
        assert set(found) == {"0/30", "0/20"}
        assert np.frombuffer(found["0/30"], "<f4") == pytest.approx(direction(30)[0], abs=1e-6)
        assert np.frombuffer(found["0/20"], "<f4") == pytest.approx(direction(-20)[0], abs=1e-6)


@in_loop
async def test_named_images_are_scored(kind):
    vectors = direction(30).tobytes() + direction(-20).tobytes()
    async with searchers(kind) as (client, address):
        wanted = ShardScores(1, 0, "region", vectors, 2, ("0/30", "nothing", "0/20"))
        found = await client.score(address, wanted, 10)
        assert set(found) == {"0/30", "0/20"}
        assert found["0/30"].ordinals == [3, 0]
        assert found["0/20"].ordinals == [2, 0]
        assert found["0/20"].scores == pytest.approx([np.cos(np.radians(10)), 1], abs=1e-6)
        with pytest.raises(InvalidVector):
            await client.score(address, replace(wanted, vectors=bytes(12), rows=1), 10)


@in_loop
async def test_a_searcher_that_is_not_there(kind, tmp_path):
    async with searchers(kind) as (client, _):
        address = f"unix:{tmp_path}/nobody.sock"
        if kind == "memory":
            client.down.add(address)
        with pytest.raises(ShardUnavailable, match=r"nobody\.sock"):
            await client.search(address, looking(0), 5)


@in_loop
async def test_what_was_let_go_of_can_be_asked_again(kind):
    async with searchers(kind) as (client, address):
        before = await client.search(address, looking(0), 10)
        client.keep({"elsewhere"})
        assert await client.search(address, looking(0), 10) == before


@in_loop
async def test_what_is_under_way_ends_when_its_searcher_is_let_go_of():
    begun, held = asyncio.Event(), asyncio.Event()

    class Slow(SearcherService):
        async def Search(self, request, context):
            begun.set()
            await held.wait()
            return searcher_pb.SearchResponse(shards_answered=[0])

    add = functools.partial(searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server, Slow(None))
    async with served(add) as handle:
        client = GrpcSearchers()
        asking = asyncio.ensure_future(client.search(handle.address, looking(0, shards=(0,)), 10))
        await begun.wait()
        client.keep(set())
        for _ in range(10):
            await asyncio.sleep(0)
        held.set()
        assert (await asking).shards_answered == (0,)
        await client.close()


def test_equal_scores_are_in_order_of_ids():
    assert [hit.image_id for hit in best_first([Hit("b", 1.0), Hit("c", 2.0), Hit("a", 1.0)])] == ["c", "a", "b"]
