import asyncio

import pytest

from pixvec.client import AsyncClient, IndexKind, IndexSettings
from pixvec.errors import CollectionNotFound, ImageNotFound


def run_with_client(server, work):
    async def main():
        async with AsyncClient(server.address) as client:
            await client.create_collection("photos")
            return await work(client)

    return asyncio.run(main())


def test_the_whole_round(server):
    async def work(client):
        job = await client.ingest("photos", [("a", b"a"), ("b", b"b"), ("bad", b"")]).wait()
        assert [failure.image_id for failure in job.failures] == ["bad"]
        assert await job.job_id() in [each.job_id async for each in client.list_jobs()]
        found = await client.search("photos", image=b"b", limit=1)
        assert [hit.image_id for hit in found] == ["b"]
        assert server.called("Query")[-1].consistency == 2
        await client.delete_images("photos", ["b"])
        with pytest.raises(ImageNotFound):
            await client.search("photos", image_id="b")
        assert (await client.get_image("photos", "a")).size_bytes == 1
        assert await client.get_content("photos", "a") == b"a"
        assert [each.name async for each in client.list_collections()] == ["photos"]
        await client.delete_collection("photos")
        with pytest.raises(CollectionNotFound):
            await client.get_collection("photos")

    run_with_client(server, work)


def test_batches_and_index_settings(server, tmp_path):
    (tmp_path / "query.jpg").write_bytes(b"b")

    async def work(client):
        await client.create_collection("tuned", index=IndexSettings(IndexKind.HNSW, hnsw_m=48))
        changed = await client.update_collection("tuned", kind="flat", ef_construction=90)
        assert changed.spaces[0].index == IndexSettings(IndexKind.FLAT, hnsw_m=48, ef_construction=90)
        await client.ingest("photos", [("a", b"a"), ("b", b"b")]).wait()
        for queries in ({"images": [b"a", tmp_path / "query.jpg"]}, {"image_ids": ["a", "b"]}):
            found = await client.search_batch("photos", limit=1, exact=True, **queries)
            assert [hits.image_ids for hits in found] == [("a",), ("b",)]
        await client.search("photos", image_id="a", ef=77)
        assert server.called("Query")[-1].params.ef == 77
        assert [query.params.exact for query in server.called("QueryBatch")] == [True, True]

    run_with_client(server, work)


def test_a_broken_stream_is_taken_up_again(server):
    server.break_ingest_after(3)

    async def work(client):
        job = await client.ingest("photos", [(str(n), b"%d" % n) for n in range(10)]).wait()
        assert job.counts.indexed == 10

    run_with_client(server, work)


def test_a_long_list_comes_page_by_page(server):
    async def work(client):
        names = [f"c{number:03}" for number in range(120)]
        for name in names:
            await client.create_collection(name)
        assert [each.name async for each in client.list_collections()] == [*names, "photos"]

    run_with_client(server, work)
    assert [request.page_token for request in server.called("ListCollections")] == ["", "c099"]


def test_a_job_by_uri_is_followed_to_its_end(server):
    async def work(client):
        job = await client.ingest_uri("photos", "file:///pictures")
        await job.wait()
        assert (await client.get_job(job.job_id)).state.ended
        assert await job.failures() == []

    run_with_client(server, work)


def test_both_clients_have_the_same_methods():
    from pixvec.client import Client

    public = {name for name in vars(Client) if not name.startswith("_")}
    assert public == {name for name in vars(AsyncClient) if not name.startswith("_")}
