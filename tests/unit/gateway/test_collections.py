import pytest

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.api.v1 import common_pb2
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import RegionSettings
from pixvec.errors import (
    CollectionExists,
    CollectionNotFound,
    EmbedderUnavailable,
    InvalidRequest,
    ModelNotFound,
    SpaceNotFound,
)
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import ResolvedModel
from pixvec.rpc.memory_embedder import MemoryEmbedder
from services.gateway import collections as collections_module
from services.gateway.collection_service import CollectionService
from services.gateway.collections import Collections
from services.gateway.directory import Directory
from tests.in_loop import in_loop

MODELS = {
    "big": ResolvedModel("big", 2048, "cd" * 32),
    "small": ResolvedModel("small", 576, "ef" * 32),
    "towers": ResolvedModel("towers", 512, "ab" * 32, takes_text=True),
}


class NoDeadline:
    def time_remaining(self):
        return None


class Side:
    """A collection service over twins, with a searcher that is ready as soon as it is given a shard."""

    def __init__(self, searchers=1, replicas=1):
        self.catalogue = in_memory()
        self.names = [f"s{number}" for number in range(searchers)]
        for name in self.names:
            self.catalogue.topology.heartbeat(name, name, [], lease_s=3600)
        self.embedder = MemoryEmbedder(MODELS)
        sql = BlockingCalls("database", 2)
        self.directory = Directory(self.catalogue, sql)
        self.service = CollectionService(
            Collections(self.catalogue, self.directory, self.embedder, sql, default_shard_count=3, replicas=replicas)
        )
        create = self.catalogue.collections.create

        def created_and_held(*arguments):
            collection = create(*arguments)
            reports = [ShardReport(collection.collection_id, number, True, 0) for number in range(arguments[2])]
            for name in self.names:
                self.catalogue.topology.heartbeat(name, name, reports, lease_s=3600)
            return collection

        self.catalogue.collections.create = created_and_held

    async def create(self, name="photos", **fields):
        request = pb.CreateCollectionRequest(collection=name, **fields)
        return await self.service.CreateCollection(request, NoDeadline())


@in_loop
async def test_a_collection_records_what_makes_its_vectors():
    side = Side()
    made = await side.create(model="small", metric=common_pb2.METRIC_EUCLIDEAN, shard_count=2)
    (space,) = made.collection.spaces
    assert (space.name, space.model, space.dim, space.digest) == ("image", "small", 576, "ef" * 32)
    assert (space.metric, made.collection.shard_count) == (common_pb2.METRIC_EUCLIDEAN, 2)
    assert made.model_choice == ""


@in_loop
async def test_a_space_says_whether_it_takes_texts():
    side = Side()
    for model, takes_text in (("towers", True), ("small", False)):
        made = await side.create(model, model=model)
        assert made.collection.spaces[0].takes_text is takes_text
        assert (await side.directory.collection(model)).spaces[0].takes_text is takes_text


@pytest.mark.parametrize("model", ["towers", "small"])
@in_loop
async def test_objects_take_texts_where_their_crops_are_embedded_by_a_model_of_texts(model):
    side = Side()
    for embedding in (pb.REGION_EMBEDDING_ROI, pb.REGION_EMBEDDING_CROP):
        made = await side.create(
            f"{model}-{embedding}", model=model, regions=pb.RegionSettings(detector="words", embedding=embedding)
        )
        wanted = model == "towers" and embedding == pb.REGION_EMBEDDING_CROP
        assert made.collection.spaces[1].takes_text is wanted


@in_loop
async def test_the_defaults_say_why():
    made = await Side().create()
    assert made.collection.spaces[0].model == "big"
    assert made.collection.spaces[0].metric == common_pb2.METRIC_COSINE
    assert made.collection.shard_count == 3
    assert "big" in made.model_choice


@in_loop
async def test_it_can_be_used_once_it_is_created():
    side = Side(searchers=2, replicas=2)
    await side.create()
    routing = await side.directory.routing()
    assert {replica.ready for replicas in routing.replicas.values() for replica in replicas} == {True}
    assert len(routing.replicas) == 3


@in_loop
async def test_no_searcher_is_no_reason_to_fail(monkeypatch):
    monkeypatch.setattr(collections_module, "_PLACED_WITHIN_S", 0)
    side = Side(searchers=0)
    await side.create()
    assert side.catalogue.collections.get("photos").shard_count == 3


@in_loop
async def test_a_taken_name_is_refused_before_any_model_is_loaded():
    side = Side()
    await side.create()
    side.embedder.calls.clear()
    with pytest.raises(CollectionExists, match="photos"):
        await side.create()
    assert side.embedder.calls == []


@in_loop
async def test_models_that_cannot_be_had(monkeypatch):
    side = Side()
    with pytest.raises(ModelNotFound, match="there are big, small"):
        await side.create(model="none")

    async def unreachable(*_):
        raise EmbedderUnavailable("no worker")

    monkeypatch.setattr(side.embedder, "resolve_model", unreachable)
    with pytest.raises(EmbedderUnavailable):
        await side.create()
    assert side.catalogue.collections.page("", 10) == []


@in_loop
async def test_a_collection_of_several_spaces_resolves_each():
    side = Side()
    made = await side.create(
        model="big",
        metric=common_pb2.METRIC_EUCLIDEAN,
        spaces=[
            pb.SpaceSettings(name="colour", model="small", index=pb.IndexSettings(kind=pb.INDEX_KIND_FLAT)),
            pb.SpaceSettings(name="other", model="auto", metric=common_pb2.METRIC_INNER_PRODUCT),
        ],
        regions=pb.RegionSettings(detector="words", min_score=0.3, index=pb.IndexSettings(hnsw_m=9)),
    )
    told = [(each.name, each.model, each.dim, each.metric, each.kind) for each in made.collection.spaces]
    assert told == [
        ("image", "big", 2048, common_pb2.METRIC_EUCLIDEAN, pb.SPACE_KIND_IMAGE),
        ("colour", "small", 576, common_pb2.METRIC_COSINE, pb.SPACE_KIND_IMAGE),
        ("other", "big", 2048, common_pb2.METRIC_INNER_PRODUCT, pb.SPACE_KIND_IMAGE),
        ("region", "words", 8, common_pb2.METRIC_COSINE, pb.SPACE_KIND_REGION),
    ]
    assert made.model_choice == ""
    assert made.collection.spaces[1].index.kind == pb.INDEX_KIND_FLAT
    assert made.collection.regions.index.hnsw_m == made.collection.spaces[3].index.hnsw_m == 9
    assert side.catalogue.collections.get("photos").spaces[3].regions == RegionSettings("words", min_score=0.3)
    got = await side.service.GetCollection(pb.GetCollectionRequest(collection="photos"), NoDeadline())
    assert got.collection == made.collection


@in_loop
async def test_crops_are_embedded_by_the_model_of_the_collection():
    crops = pb.RegionSettings(detector="words", embedding=pb.REGION_EMBEDDING_CROP)
    made = await Side().create(model="small", regions=crops)
    assert (made.collection.spaces[1].model, made.collection.spaces[1].dim) == ("words", 576)
    assert made.collection.regions.embedding == pb.REGION_EMBEDDING_CROP


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"spaces": [{"name": "image", "model": "small"}]}, "spaces[0].name", "is made by `model`"),
        ({"spaces": [{"name": "region", "model": "small"}]}, "spaces[0].name", "is made by `regions`"),
        ({"spaces": [{"name": "a", "model": "small"}] * 2}, "spaces[1].name", "'a' is there already"),
        (
            {"regions": {"detector": "words", "embedding": pb.REGION_EMBEDDING_CROP, "background_out": True}},
            "regions.background_out",
            "a crop shows its background",
        ),
    ],
)
@in_loop
async def test_spaces_that_cannot_be_made_are_refused_before_any_model_is_loaded(fields, field, message):
    side = Side()
    with pytest.raises(InvalidRequest, match=message) as caught:
        await side.create(**fields)
    assert caught.value.field == field
    assert side.embedder.calls == []


@in_loop
async def test_a_detector_that_there_is_not_leaves_no_collection():
    side = Side()
    with pytest.raises(ModelNotFound, match="no detector 'eyes'"):
        await side.create(regions=pb.RegionSettings(detector="eyes"))
    assert side.catalogue.collections.page("", 10) == []


def settings(made):
    (space,) = made.collection.spaces
    return space.index


@in_loop
async def test_a_collection_says_how_it_is_indexed():
    side = Side()
    made = await side.create(index=pb.IndexSettings(kind=pb.INDEX_KIND_HNSW, hnsw_m=48))
    stored = pb.IndexSettings(kind=pb.INDEX_KIND_HNSW, storage=pb.VECTOR_STORAGE_FLOAT16, hnsw_m=48)
    assert settings(made) == stored
    got = await side.service.GetCollection(pb.GetCollectionRequest(collection="photos"), NoDeadline())
    assert settings(got) == stored
    defaults = pb.IndexSettings(kind=pb.INDEX_KIND_AUTO, storage=pb.VECTOR_STORAGE_FLOAT16)
    assert settings(await side.create("others")) == defaults


_BEFORE = pb.IndexSettings(kind=pb.INDEX_KIND_HNSW, storage=pb.VECTOR_STORAGE_FLOAT32, hnsw_m=48, nlist=5)


@pytest.mark.parametrize(
    ("index", "paths", "after"),
    [
        ({"kind": pb.INDEX_KIND_IVF_PQ}, [], {"kind": pb.INDEX_KIND_IVF_PQ}),
        ({"hnsw_m": 9, "nlist": 70}, [], {"hnsw_m": 9, "nlist": 70}),
        ({"hnsw_m": 9, "nlist": 70}, ["index.nlist"], {"nlist": 70}),
        ({}, ["index.hnsw_m", "index.kind"], {"kind": pb.INDEX_KIND_AUTO, "hnsw_m": None}),
        (
            {"nlist": 70},
            ["index"],
            {"kind": pb.INDEX_KIND_AUTO, "storage": pb.VECTOR_STORAGE_FLOAT16, "hnsw_m": None, "nlist": 70},
        ),
        (
            {},
            ["*"],
            {"kind": pb.INDEX_KIND_AUTO, "storage": pb.VECTOR_STORAGE_FLOAT16, "hnsw_m": None, "nlist": None},
        ),
    ],
)
@in_loop
async def test_an_update_changes_what_its_mask_names(index, paths, after):
    side = Side()
    await side.create(index=_BEFORE)
    request = pb.UpdateCollectionRequest(collection="photos", index=index, update_mask={"paths": paths})
    updated = await side.service.UpdateCollection(request, NoDeadline())
    expected = {field.name: value for field, value in _BEFORE.ListFields()} | after
    assert settings(updated) == pb.IndexSettings(**expected)
    got = await side.service.GetCollection(pb.GetCollectionRequest(collection="photos"), NoDeadline())
    assert got.collection == updated.collection
    assert (await side.directory.collection("photos")) == side.catalogue.collections.get("photos")


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"index": {"nlist": 5}, "update_mask": {"paths": ["shard_count"]}}, InvalidRequest, "update_mask"),
        ({"index": {"nlist": 5}, "update_mask": {"paths": ["index.nlist", "nlist"]}}, InvalidRequest, "update_mask"),
        ({}, InvalidRequest, "index"),
        ({"space": "region", "index": {"nlist": 5}}, SpaceNotFound, "space"),
        ({"collection": "elsewhere", "index": {"nlist": 5}}, CollectionNotFound, "collection"),
    ],
)
@in_loop
async def test_updates_that_cannot_be_made(fields, error, field):
    side = Side()
    await side.create(index=_BEFORE)
    request = pb.UpdateCollectionRequest(**{"collection": "photos"} | fields)
    with pytest.raises(error) as caught:
        await side.service.UpdateCollection(request, NoDeadline())
    assert caught.value.field == field
    got = await side.service.GetCollection(pb.GetCollectionRequest(collection="photos"), NoDeadline())
    assert settings(got) == _BEFORE


@in_loop
async def test_what_is_deleted_is_out_of_sight_at_once():
    side = Side()
    await side.create()
    assert (await side.directory.collection("photos")).name == "photos"
    await side.service.DeleteCollection(pb.DeleteCollectionRequest(collection="photos"), NoDeadline())
    with pytest.raises(CollectionNotFound):
        await side.directory.collection("photos")
    with pytest.raises(CollectionNotFound):
        await side.service.GetCollection(pb.GetCollectionRequest(collection="photos"), NoDeadline())
    again = await side.create(model="small")
    assert (await side.directory.collection("photos")).spaces[0].model == "small"
    assert again.collection.image_count == 0


@in_loop
async def test_pages_cover_everything_once():
    side = Side()
    names = sorted(f"c{number}" for number in range(7))
    for name in names:
        await side.create(name)
    found, token = [], ""
    while True:
        request = pb.ListCollectionsRequest(page_size=3, page_token=token)
        page = await side.service.ListCollections(request, NoDeadline())
        found += [collection.name for collection in page.collections]
        token = page.next_page_token
        if not token:
            break
    assert found == names
    with pytest.raises(InvalidRequest):
        await side.service.ListCollections(pb.ListCollectionsRequest(page_token="made up"), NoDeadline())
