"""The clients of embedders: the in-memory twin, and the real one over a socket file, by one suite."""

import functools
from contextlib import asynccontextmanager

import pytest

from pixvec.domain import Box, FittedKind, ItemError, Metric, ModelKind, Region, RegionEmbedding, RegionSettings, Space
from pixvec.errors import (
    BoxOutside,
    DigestMismatch,
    EmbedderUnavailable,
    ModelNotFound,
    NoTextTower,
    PictureNotRecognised,
    SpaceNotFound,
    WeightsUnavailable,
)
from pixvec.internal.v1 import embedder_service_pb2 as embedder_pb
from pixvec.internal.v1 import embedder_service_pb2_grpc
from pixvec.rpc.conversions import item_error_to_wire
from pixvec.rpc.embedder_client import GrpcEmbedder, LabelTexts, ResolvedModel
from pixvec.rpc.memory_embedder import MemoryEmbedder, vector_from_bytes
from pixvec.rpc.models import fitted_kind_from_wire, model_kind_to_wire
from pixvec.rpc.regions import box_from_wire, region_settings_from_wire, region_to_wire
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
