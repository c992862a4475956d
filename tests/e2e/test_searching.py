"""How hard to search, many queries at once, and how a collection is indexed, against the running system."""

import asyncio
from typing import Any

import numpy as np
import pytest

from pixvec.client import AsyncClient, BatchHits, Client, IndexKind, IndexSettings, SearchResult, VectorStorage
from pixvec.embedded.running import RunningSystem
from pixvec.errors import CollectionNotFound, ImageNotFound, InvalidRequest, PictureError, SpaceNotFound
from tests.pictures import make_jpeg

NAMES = [f"p/{seed}" for seed in range(40)]


@pytest.fixture
def filled(client: Client, collection: str) -> str:
    job = client.ingest(collection, [(f"p/{seed}", make_jpeg(seed)) for seed in range(40)])
    job.wait()
    assert job.failures == []
    return collection


def ranking(hits: SearchResult | BatchHits) -> list[tuple[str, Any]]:
    return [(hit.image_id, pytest.approx(hit.score, abs=1e-5)) for hit in hits]


def test_on_few_pictures_every_effort_finds_the_same(client: Client, filled: str) -> None:
    efforts: list[dict[str, Any]] = [{}, {"exact": True}, {"ef": 10}, {"nprobe": 1}, {"rescore": -1}, {"rescore": 50}]
    for seed in range(5):
        found = [client.search(filled, image=make_jpeg(seed), limit=40, **effort) for effort in efforts]
        assert found[0][0].image_id == f"p/{seed}"
        assert len(found[0]) == 40
        assert all(ranking(found[0]) == [(hit.image_id, hit.score) for hit in each] for each in found[1:])


def test_a_batch_answers_as_its_queries_do_one_by_one(client: Client, filled: str) -> None:
    dim = client.get_collection(filled).spaces[0].dim
    vectors = np.random.default_rng(7).standard_normal((20, dim)).astype(np.float32)
    pictures = [make_jpeg(seed) for seed in (3, 90, 3, 12)]
    for batch, singles in (
        (client.search_batch(filled, vectors=vectors), [{"vector": vector} for vector in vectors]),
        (client.search_batch(filled, image_ids=NAMES), [{"image_id": name} for name in NAMES]),
        (client.search_batch(filled, images=pictures), [{"image": picture} for picture in pictures]),
    ):
        alone = [ranking(client.search(filled, **single)) for single in singles]
        assert [[(hit.image_id, hit.score) for hit in hits] for hits in batch] == alone
        assert batch.coverage.complete
        assert batch.timings.total >= batch.timings.search > 0


def test_the_async_client_asks_in_batches_too(system: RunningSystem, client: Client, filled: str) -> None:
    async def ask() -> list[tuple[str, ...]]:
        async with AsyncClient(system.address) as remote:
            return [hits.image_ids for hits in await remote.search_batch(filled, image_ids=NAMES, limit=1)]

    assert asyncio.run(ask()) == [(name,) for name in NAMES]


def test_searches_that_wait_at_the_same_time_are_answered_as_one_by_one(
    system: RunningSystem, client: Client, filled: str
) -> None:
    dim = client.get_collection(filled).spaces[0].dim
    vectors = np.random.default_rng(7).standard_normal((60, dim)).astype(np.float32)

    async def ask() -> list[SearchResult]:
        async with AsyncClient(system.address) as remote:
            return await asyncio.gather(*(remote.search(filled, vector=vector, limit=5) for vector in vectors))

    alone = [ranking(client.search(filled, vector=vector, limit=5)) for vector in vectors]
    together = asyncio.run(ask())
    assert [[(hit.image_id, hit.score) for hit in found] for found in together] == alone
    assert all(found.coverage.complete and found.space == "image" for found in together)


def test_a_batch_keeps_thresholds_and_sees_what_was_written(client: Client, filled: str) -> None:
    client.delete_images(filled, ["p/1"])
    found = client.search_batch(filled, images=[make_jpeg(0), make_jpeg(1)], min_score=0.999)
    assert [hits.image_ids for hits in found] == [("p/0",), ()]


def test_one_query_that_cannot_be_answered_is_named(client: Client, filled: str) -> None:
    with pytest.raises(ImageNotFound, match="query 2") as missing:
        client.search_batch(filled, image_ids=["p/0", "p/1", "gone"])
    assert missing.value.field == "image_ids.ids[2]"
    with pytest.raises(PictureError, match="query 1") as broken:
        client.search_batch(filled, images=[make_jpeg(0), b"no picture"])
    assert broken.value.field == "images.contents[1]"
    dim = client.get_collection(filled).spaces[0].dim
    with pytest.raises(InvalidRequest, match=r"query 1: .*not finite") as infinite:
        client.search_batch(filled, vectors=[[1.0] * dim, [float("inf")] * dim])
    assert infinite.value.field == "vectors.data"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"ef": 10_001}, "params.ef"),
        ({"nprobe": 1_000_001}, "params.nprobe"),
        ({"rescore": -2.0}, "params.rescore"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"min_score": float("nan")}, "min_score"),
    ],
)
def test_parameters_out_of_range_name_the_field(
    client: Client, collection: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as single:
        client.search(collection, image=make_jpeg(1), **arguments)
    with pytest.raises(InvalidRequest) as batch:
        client.search_batch(collection, images=[make_jpeg(1)], **arguments)
    assert (single.value.field, batch.value.field) == (field, field)


def test_batches_that_are_too_large_name_what_is(client: Client, collection: str) -> None:
    with pytest.raises(InvalidRequest) as hits:
        client.search_batch(collection, image_ids=["a"] * 101, limit=1000)
    assert hits.value.field == "limit"
    with pytest.raises(InvalidRequest) as queries:
        client.search_batch(collection, image_ids=["a"] * 1001)
    assert queries.value.field == "image_ids.ids"


def test_a_collection_is_indexed_as_it_was_told_and_told_again(client: Client, filled: str) -> None:
    assert client.get_collection(filled).spaces[0].index == IndexSettings()
    before = ranking(client.search(filled, image=make_jpeg(5), limit=40))
    changed = client.update_collection(filled, kind="hnsw", storage="float32", hnsw_m=48)
    assert changed.spaces[0].index == IndexSettings(IndexKind.HNSW, VectorStorage.FLOAT32, hnsw_m=48)
    assert changed.image_count == 40
    assert client.get_collection(filled) == changed
    reset = client.update_collection(filled, hnsw_m=0).spaces[0].index
    assert reset == IndexSettings(IndexKind.HNSW, VectorStorage.FLOAT32)
    assert [(hit.image_id, hit.score) for hit in client.search(filled, image=make_jpeg(5), limit=40)] == before


def test_a_new_collection_takes_its_index_settings(client: Client, collection: str) -> None:
    name = f"{collection[:50]}-2"
    tuned = IndexSettings(IndexKind.IVF_SQ8, VectorStorage.FLOAT32, nlist=50)
    try:
        assert client.create_collection(name, model="hog-color", index=tuned).spaces[0].index == tuned
        client.ingest(name, [("a", make_jpeg(1)), ("b", make_jpeg(2))]).wait()
        assert [hits.image_ids for hits in client.search_batch(name, image_ids=["b"], limit=1)] == [("b",)]
    finally:
        client.delete_collection(name)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"hnsw_m": 3}, InvalidRequest, "index.hnsw_m"),
        ({"ef_construction": 2001}, InvalidRequest, "index.ef_construction"),
        ({"nlist": 1_000_001}, InvalidRequest, "index.nlist"),
        ({"nlist": 9, "space": "region"}, SpaceNotFound, "space"),
    ],
)
def test_index_settings_that_cannot_be(
    client: Client, collection: str, change: dict[str, Any], error: type[Exception], field: str
) -> None:
    with pytest.raises(error) as caught:
        client.update_collection(collection, **change)
    assert getattr(caught.value, "field", None) == field
    assert client.get_collection(collection).spaces[0].index == IndexSettings()
    with pytest.raises(CollectionNotFound, match="nowhere"):
        client.update_collection("nowhere", nlist=5)
