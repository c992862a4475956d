"""The clients of embedder and searcher: the in-memory twin, and the real one over a socket file, by one suite."""

import asyncio
import functools
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from pixvec.domain import (
    Box,
    FittedKind,
    Hit,
    ItemError,
    Metric,
    ModelKind,
    Region,
    RegionEmbedding,
    RegionSettings,
    SearchOptions,
    ShardPosition,
    Space,
)
from pixvec.errors import (
    BoxOutside,
    DigestMismatch,
    EmbedderUnavailable,
    InvalidVector,
    ModelNotFound,
    NoTextTower,
    PictureNotRecognised,
    ShardUnavailable,
    SpaceNotFound,
    StaleToken,
    WeightsUnavailable,
)
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.internal.v1 import embedder_service_pb2 as embedder_pb
from pixvec.internal.v1 import embedder_service_pb2_grpc, searcher_service_pb2_grpc
from pixvec.internal.v1 import searcher_service_pb2 as searcher_pb
from pixvec.rpc.conversions import item_error_to_wire, params_from_wire, position_from_wire
from pixvec.rpc.embedder_client import GrpcEmbedder, LabelTexts, ResolvedModel
from pixvec.rpc.memory_embedder import MemoryEmbedder, vector_from_bytes
from pixvec.rpc.memory_searchers import MemorySearchers
from pixvec.rpc.models import fitted_kind_from_wire, model_kind_to_wire
from pixvec.rpc.regions import box_from_wire, region_settings_from_wire, region_to_wire
from pixvec.rpc.searcher_client import GrpcSearchers
from pixvec.rpc.shard_search import ShardScores, ShardSearch, ShardVectors, best_first
from tests.contract.rpc_server import served
from tests.in_loop import in_loop

DIGEST = "ab" * 32
WORDS = RegionSettings("words")
MODELS = {
    "big": ResolvedModel("big", 8, DIGEST, takes_text=True),
    "small": ResolvedModel("small", 4, "cd" * 32),
}


class EmbedderService(embedder_service_pb2_grpc.EmbedderServiceServicer):
    """A worker whose model is the in-memory twin."""

    def __init__(self, twin):
        self.twin = twin

    async def EmbedImages(self, request, context):
        boxes = list(map(box_from_wire, request.boxes))
        found = await self.twin.embed_images(request.model, request.digest.hex(), request.images, 10, boxes)
        return embedder_pb.EmbedImagesResponse(
            embeddings=[
                embedder_pb.ImageEmbedding(error=item_error_to_wire(each))
                if isinstance(each, ItemError)
                else embedder_pb.ImageEmbedding(vector=each)
                for each in found.results
            ],
            queue_seconds=1,
            decode_seconds=2,
            inference_seconds=3,
        )

    async def ResolveModel(self, request, context):
        found = await self.twin.resolve_model(request.model, 10)
        return embedder_pb.ResolveModelResponse(
            model=found.model,
            dim=found.dim,
            digest=bytes.fromhex(found.digest),
            reason=found.reason,
            takes_text=found.takes_text,
        )

    async def EmbedTexts(self, request, context):
        found = await self.twin.embed_texts(request.model, request.digest.hex(), request.texts, 10)
        return embedder_pb.EmbedTextsResponse(vectors=found.vectors, queue_seconds=1, inference_seconds=3)

    async def ClassifyImages(self, request, context):
        classes = LabelTexts(tuple(request.labels), tuple(request.templates))
        asked = (request.model, request.digest.hex(), classes)
        found = (
            await self.twin.classify_vectors(*asked, request.vectors, 10)
            if request.vectors
            else await self.twin.classify_images(*asked, request.images, 10)
        )
        return embedder_pb.ClassifyImagesResponse(
            results=[
                embedder_pb.ImageClasses(error=item_error_to_wire(each))
                if isinstance(each, ItemError)
                else embedder_pb.ImageClasses(probabilities=each)
                for each in found.results
            ],
            exclusive=found.exclusive,
            queue_seconds=1,
            decode_seconds=2,
            inference_seconds=3,
        )

    async def RenderThumbnail(self, request, context):
        jpeg = await self.twin.render_thumbnail(request.image, request.max_side, 10)
        return embedder_pb.RenderThumbnailResponse(jpeg=jpeg)

    async def DetectRegions(self, request, context):
        space = region_space(region_settings_from_wire(request.settings), request.digest.hex())
        boxes = [box_from_wire(box) for box in request.boxes]
        found = await self.twin.detect_regions(space, request.image_model, request.images, 10, boxes)
        return embedder_pb.DetectRegionsResponse(
            results=[
                embedder_pb.ImageRegions(error=item_error_to_wire(each))
                if isinstance(each, ItemError)
                else embedder_pb.ImageRegions(
                    regions=[region_to_wire(region) for region in each.regions],
                    vectors=b"".join(each.vectors),
                    dim=8,
                    width=each.width,
                    height=each.height,
                )
                for each in found.results
            ],
            queue_seconds=1,
            decode_seconds=2,
            inference_seconds=3,
        )

    async def ResolveRegions(self, request, context):
        settings = region_settings_from_wire(request.settings)
        found = await self.twin.resolve_regions(settings, request.image_model, 10)
        return embedder_pb.ResolveRegionsResponse(
            detector=found.model, dim=found.dim, digest=bytes.fromhex(found.digest)
        )

    async def ListModels(self, request, context):
        models = await self.twin.list_models(10)
        return embedder_pb.ListModelsResponse(
            models=[
                embedder_pb.Model(
                    name=each.name,
                    kind=model_kind_to_wire(each.kind),
                    dim=each.dim,
                    description=each.description,
                    available=each.available,
                    takes_text=each.takes_text,
                )
                for each in models
            ]
        )

    async def TryFitted(self, request, context):
        kind = fitted_kind_from_wire(request.kind)
        found = await self.twin.try_fitted(kind, request.name, request.base_model, request.content, 10)
        return embedder_pb.TryFittedResponse(
            dim=found.dim, digest=bytes.fromhex(found.digest), base_model=request.base_model
        )


def region_space(settings=WORDS, digest="cd" * 32):
    return Space("region", settings.detector, 8, Metric.COSINE, digest, regions=settings)


@asynccontextmanager
async def embedder(kind):
    twin = MemoryEmbedder(MODELS)
    if kind == "memory":
        yield twin
        return
    add = functools.partial(embedder_service_pb2_grpc.add_EmbedderServiceServicer_to_server, EmbedderService(twin))
    async with served(add) as handle:
        client = GrpcEmbedder(handle.address)
        yield client
        await client.close()


@pytest.fixture(params=["memory", "grpc"])
def kind(request):
    return request.param


@in_loop
async def test_pictures_become_vectors_each_for_itself(kind):
    async with embedder(kind) as client:
        found = await client.embed_images("big", DIGEST, [b"one", b"bad", b"two"], 10)
        assert found.results[0] == vector_from_bytes(b"one", 8)
        assert found.results[1].reason == PictureNotRecognised.reason
        assert found.results[2] == vector_from_bytes(b"two", 8)
        if kind == "grpc":
            assert (found.queue_s, found.decode_s, found.inference_s) == (1, 2, 3)


@in_loop
async def test_pictures_are_cut_to_their_boxes(kind):
    async with embedder(kind) as client:
        boxes = [Box(10, 0, 18, 8), Box(0, 0, 28, 8), Box(30, 0, 38, 8)]
        found = await client.embed_images("big", DIGEST, [b"cat dog fish"] * 3, 10, boxes)
        assert found.results[:2] == (vector_from_bytes(b"dog", 8), vector_from_bytes(b"cat dog fish", 8))
        assert found.results[2].reason == BoxOutside.reason


@in_loop
async def test_another_digest_or_model_is_refused(kind):
    async with embedder(kind) as client:
        with pytest.raises(DigestMismatch):
            await client.embed_images("big", "00" * 32, [b"one"], 10)
        with pytest.raises(ModelNotFound):
            await client.embed_images("none", "", [b"one"], 10)


@in_loop
async def test_regions_of_pictures_each_for_itself(kind):
    async with embedder(kind) as client:
        found = await client.detect_regions(region_space(), "big", [b"a cat", b"bad", b" "], 10)
        seen, bad, nothing = found.results
        assert seen.regions == (
            Region(0, Box(0, 0, 8, 8), "a", pytest.approx(0.9)),
            Region(1, Box(10, 0, 18, 8), "cat", pytest.approx(0.9)),
        )
        assert seen.vectors == (vector_from_bytes(b"a", 8), vector_from_bytes(b"cat", 8))
        assert (seen.width, seen.height) == (20, 8)
        assert bad.reason == PictureNotRecognised.reason
        assert (nothing.regions, nothing.vectors) == ((), ())
        if kind == "grpc":
            assert (found.queue_s, found.decode_s, found.inference_s) == (1, 2, 3)


@in_loop
async def test_boxes_are_taken_in_place_of_what_would_be_found(kind):
    async with embedder(kind) as client:
        boxes = [Box(11, 1, 15, 7), Box(0, 0, 8, 8)]
        first, second = (await client.detect_regions(region_space(), "big", [b"a cat"] * 2, 10, boxes)).results
        assert first.regions == (Region(0, boxes[0], "", 1.0),)
        assert (first.vectors, second.vectors) == ((vector_from_bytes(b"cat", 8),), (vector_from_bytes(b"a", 8),))
        (outside,) = (await client.detect_regions(region_space(), "big", [b"a"], 10, boxes[:1])).results
        assert outside.reason == BoxOutside.reason


@in_loop
async def test_what_makes_regions_is_resolved(kind):
    async with embedder(kind) as client:
        assert await client.resolve_regions(WORDS, "big", 10) == ResolvedModel("words", 8, "cd" * 32)
        crops = RegionSettings("words", RegionEmbedding.CROP)
        assert (await client.resolve_regions(crops, "small", 10)).dim == 4
        with pytest.raises(ModelNotFound, match="no detector 'eyes'; there are words"):
            await client.resolve_regions(RegionSettings("eyes"), "big", 10)
        with pytest.raises(DigestMismatch):
            await client.detect_regions(region_space(digest="00" * 32), "big", [b"a"], 10)
        with pytest.raises(SpaceNotFound, match="'image' holds whole pictures"):
            await client.detect_regions(Space("image", "big", 8, Metric.COSINE, DIGEST), "big", [b"a"], 10)


@in_loop
async def test_texts_become_vectors_beside_those_of_pictures(kind):
    async with embedder(kind) as client:
        found = await client.embed_texts("big", DIGEST, ["one", "zwei ü"], 10)
        assert found.vectors == (vector_from_bytes(b"one", 8), vector_from_bytes("zwei ü".encode(), 8))
        if kind == "grpc":
            assert (found.queue_s, found.inference_s) == (1, 3)


@in_loop
async def test_pictures_and_their_vectors_are_classified_alike(kind):
    async with embedder(kind) as client:
        asked = ("big", DIGEST, LabelTexts(("one", "two")))
        one, bad, two = (await client.classify_images(*asked, [b"one", b"bad", b"two"], 10)).results
        assert bad.reason == PictureNotRecognised.reason
        assert one[0] > one[1]
        assert two[1] > two[0]
        assert sum(one) == pytest.approx(1)
        stored = await client.classify_vectors(*asked, [vector_from_bytes(b"two", 8)], 10)
        assert stored.results[0] == pytest.approx(two)
        assert stored.exclusive
        if kind == "grpc":
            assert (stored.queue_s, stored.decode_s, stored.inference_s) == (1, 2, 3)


@in_loop
async def test_texts_for_a_model_without_a_tower_for_them_are_refused(kind):
    async with embedder(kind) as client:
        with pytest.raises(NoTextTower, match="small makes vectors of pictures only"):
            await client.embed_texts("small", "", ["one"], 10)
        with pytest.raises(NoTextTower):
            await client.classify_images("small", "", LabelTexts(("one",)), [b"one"], 10)
        with pytest.raises(DigestMismatch):
            await client.embed_texts("big", "00" * 32, ["one"], 10)


@in_loop
async def test_models_are_resolved(kind):
    async with embedder(kind) as client:
        assert (await client.resolve_model("big", 10)).takes_text
        assert await client.resolve_model("small", 10) == MODELS["small"]
        best = await client.resolve_model("auto", 10)
        assert best.model == "big"
        assert best.reason


@in_loop
async def test_models_are_listed(kind):
    async with embedder(kind) as client:
        listed = {each.name: each for each in await client.list_models(10)}
    assert {name: each.dim for name, each in listed.items()} == {"big": 8, "small": 4, "words": 8}
    assert listed["words"].kind is ModelKind.DETECTOR
    assert (listed["big"].takes_text, listed["small"].takes_text, listed["big"].available) == (True, False, True)


@in_loop
async def test_fitted_files_are_tried_out(kind):
    async with embedder(kind) as client:
        made = await client.try_fitted(FittedKind.PCA, "axes", "big", b"a file", 10)
        assert (made.model, made.dim) == ("big+pca:axes", 8)
        assert (await client.try_fitted(FittedKind.SIFT_VLAD, "words", "", b"a file", 10)).model == "sift-vlad:words"
        with pytest.raises(WeightsUnavailable, match="safetensors"):
            await client.try_fitted(FittedKind.PCA, "axes", "big", b"bad", 10)
        with pytest.raises(ModelNotFound):
            await client.try_fitted(FittedKind.PCA, "axes", "other", b"a file", 10)


@in_loop
async def test_thumbnails_are_rendered(kind):
    async with embedder(kind) as client:
        assert await client.render_thumbnail(b"picture", 64, 10) == b"thumbnail 64 of picture"
        with pytest.raises(PictureNotRecognised):
            await client.render_thumbnail(b"bad", 64, 10)


@in_loop
async def test_no_worker_is_said_to_be_that(tmp_path):
    client = GrpcEmbedder(f"unix:{tmp_path}/nobody.sock")
    with pytest.raises(EmbedderUnavailable, match=r"nobody\.sock"):
        await client.resolve_model("auto", 5)
    await client.close()


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
