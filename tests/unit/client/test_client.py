from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pixvec.api.v1.common_pb2 import SearchParams
from pixvec.client import Client, IndexKind, IndexSettings, VectorStorage
from pixvec.client.testing.store import embed
from pixvec.errors import (
    CollectionExists,
    CollectionNotFound,
    ContentNotFound,
    DatabaseUnavailable,
    ImageNotFound,
    InvalidRequest,
    InvalidVector,
    PictureEmpty,
    SpaceNotFound,
    StaleToken,
    Unavailable,
)


def test_collections_come_and_go(client):
    made = client.create_collection("cats", shards=3)
    assert (made.name, made.shard_count, made.spaces[0].model) == ("cats", 3, "fake")
    assert made.model_choice
    with pytest.raises(CollectionExists, match="cats"):
        client.create_collection("cats")
    assert [each.name for each in client.list_collections()] == ["cats", "photos"]
    client.delete_collection("cats")
    with pytest.raises(CollectionNotFound):
        client.get_collection("cats")


def test_a_long_list_comes_page_by_page(client, server):
    names = [f"c{number:03}" for number in range(120)]
    for name in names:
        client.create_collection(name)
    assert [each.name for each in client.list_collections()] == [*names, "photos"]
    assert [request.page_token for request in server.called("ListCollections")] == ["", "c099"]


def test_search_sees_the_clients_own_writes(client, server):
    client.ingest("photos", [("a", b"a")]).wait()
    client.search("photos", image=b"a")
    [query] = server.called("Query")
    assert query.consistency == 2
    assert [position.seq for position in query.token.positions] == [1]


def test_a_delete_moves_the_token_on(client, server):
    client.ingest("photos", [("a", b"a"), ("b", b"b")]).wait()
    result = client.delete_images("photos", ["a", "never there"])
    assert (result.deleted, result.not_found) == (1, 1)
    assert [hit.image_id for hit in client.search("photos", image=b"a")] == ["b"]
    assert server.called("Query")[-1].token.positions[0].seq == 3


def test_without_writes_search_is_eventual(client, server):
    client.search("photos", image=b"a")
    assert server.called("Query")[0].consistency == 1


def test_how_hard_to_search_is_told(client, server):
    client.search("photos", image=b"a")
    client.search("photos", image=b"a", exact=True, ef=300, nprobe=20, rescore=1.5)
    client.search_batch("photos", images=[b"a"], exact=True, ef=300, nprobe=20, rescore=1.5)
    plain, hard = server.called("Query")
    assert not plain.HasField("params")
    [batch] = server.called("QueryBatch")
    assert hard.params == batch.params == SearchParams(exact=True, ef=300, nprobe=20, rescore=1.5)
    for effort in ({"ef": -1}, {"nprobe": 2**32}):
        with pytest.raises(InvalidRequest, match=next(iter(effort))):
            client.search("photos", image=b"a", **effort)


def test_index_settings_are_told_and_changed(client, server):
    assert client.get_collection("photos").spaces[0].index == IndexSettings()
    tuned = IndexSettings(IndexKind.HNSW, VectorStorage.FLOAT32, 48, 200, 0)
    assert client.create_collection("tuned", index=tuned).spaces[0].index == tuned
    assert client.create_collection("named", index="ivf_pq").spaces[0].index == IndexSettings(IndexKind.IVF_PQ)
    changed = client.update_collection("tuned", kind="flat_int8", hnsw_m=0)
    assert changed.spaces[0].index == replace(tuned, kind=IndexKind.FLAT_INT8, hnsw_m=0)
    assert client.get_collection("tuned") == changed
    with pytest.raises(SpaceNotFound):
        client.update_collection("tuned", space="region", nlist=5)
    with pytest.raises(InvalidRequest, match="nothing to change"):
        client.update_collection("tuned")
    with pytest.raises(InvalidRequest, match="index must be one of auto, flat"):
        client.create_collection("x", index="tree")
    with pytest.raises(InvalidRequest, match="hnsw_m"):
        client.update_collection("tuned", hnsw_m=-1)


def ranking(hits):
    return [(hit.image_id, pytest.approx(hit.score, abs=1e-6)) for hit in hits]


def test_a_batch_by_each_kind_of_query_answers_as_one_by_one(client, tmp_path):
    client.ingest("photos", [("a", b"aaa"), ("b", b"bbb"), ("c", b"ccc")]).wait()
    (tmp_path / "query.jpg").write_bytes(b"bbb")
    pictures = [b"aaa", tmp_path / "query.jpg"]
    vectors = [embed(b"aaa"), embed(b"bbb")]
    singles = [ranking(client.search("photos", image=picture, limit=2)) for picture in pictures]
    for queries in (
        {"images": pictures},
        {"image_ids": ["a", "b"]},
        {"vectors": vectors},
        {"vectors": np.array(vectors, "f4")},
        {"vectors": np.array(vectors, "f4")[:, ::-1][:, ::-1]},
    ):
        found = client.search_batch("photos", limit=2, **queries)
        assert [[(hit.image_id, hit.score) for hit in hits] for hits in found] == singles
        assert found[0].image_ids[0] == "a"
        assert (len(found), len(found[1]), found.space, found.coverage.complete) == (2, 2, "image", True)
    assert len(client.search_batch("photos", image_ids=["a"], min_score=0.999)[0]) == 1


def test_a_batch_sees_the_clients_own_writes(client, server):
    client.ingest("photos", [("a", b"a")]).wait()
    client.search_batch("photos", image_ids=["a"])
    [query] = server.called("QueryBatch")
    assert (query.consistency, [position.seq for position in query.token.positions]) == (2, [1])
    server.store.collections["photos"].epoch = "another"
    with pytest.raises(StaleToken):
        client.search_batch("photos", image_ids=["a"])
    assert len(client.search_batch("photos", image_ids=["a"])[0]) == 1


def test_a_batch_names_the_query_that_cannot_be_answered(client):
    client.ingest("photos", [("a", b"a")]).wait()
    with pytest.raises(ImageNotFound, match="query 1") as caught:
        client.search_batch("photos", image_ids=["a", "gone"])
    assert caught.value.field == "image_ids.ids[1]"
    with pytest.raises(PictureEmpty, match="query 2"):
        client.search_batch("photos", images=[b"a", b"a", b""])
    with pytest.raises(InvalidVector, match="query 0"):
        client.search_batch("photos", vectors=[[1.0] * 3])


def test_exactly_one_kind_of_batch_is_asked_for(client):
    for queries in ({}, {"images": [b"a"], "image_ids": ["a"]}):
        with pytest.raises(InvalidRequest, match="exactly one"):
            client.search_batch("photos", **queries)


def test_a_stale_token_is_told_once(client, server):
    client.ingest("photos", [("a", b"a")]).wait()
    server.store.collections["photos"].epoch = "another"
    with pytest.raises(StaleToken):
        client.search("photos", image=b"a")
    assert len(client.search("photos", image=b"a")) == 1


def test_search_by_each_kind_of_query(client, tmp_path):
    client.ingest("photos", [("a", b"aaa"), ("b", b"bbb")], attributes={"kind": "letter"}).wait()
    (tmp_path / "query.jpg").write_bytes(b"bbb")
    assert client.search("photos", image=tmp_path / "query.jpg")[0].image_id == "b"
    assert client.search("photos", image_id="a", limit=1).hits[0].score == pytest.approx(1)
    found = client.search("photos", vector=[1.0] * 8, attributes=True)
    assert len(found) == 2
    assert found[0].attributes == {"kind": "letter"}
    assert found.coverage.complete
    assert found.timings.stages()["search"] == pytest.approx(0.001)


def test_a_vector_is_packed(client, server):
    client.search("photos", vector=array("d", [0.5] * 8))
    assert server.called("Query")[0].vector.data == array("f", [0.5] * 8).tobytes()


def test_what_is_no_vector_is_refused_before_it_is_sent(client, server):
    with pytest.raises(InvalidVector):
        client.search("photos", vector=["one"])
    assert not server.called("Query")


def test_exactly_one_query_is_asked_for(client):
    with pytest.raises(InvalidRequest, match="exactly one"):
        client.search("photos")
    with pytest.raises(InvalidRequest, match="exactly one"):
        client.search("photos", image=b"a", image_id="a")


def test_a_query_picture_is_a_file_or_bytes(client, tmp_path):
    with pytest.raises(ContentNotFound, match="is not a file"):
        client.search("photos", image=tmp_path)
    with pytest.raises(InvalidRequest, match="image must be the bytes or the path of a picture, not 5"):
        client.search("photos", image=5)


def test_bad_choices_name_the_good_ones(client):
    with pytest.raises(InvalidRequest, match="cosine, inner_product, euclidean"):
        client.create_collection("x", metric="manhattan")
    with pytest.raises(InvalidRequest, match="limit"):
        client.search("photos", image=b"a", limit=-1)
    with pytest.raises(InvalidRequest, match="queued, decoded"):
        client.ingest("photos", [], wait="cooked")


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("image_id", lambda client: client.search("photos", image_id="\udcff")),
        ("image_id", lambda client: client.search("photos", image_id=5)),
        ("limit", lambda client: client.search("photos", image_id="a", limit="x")),
        ("limit", lambda client: client.search("photos", image_id="a", limit=1.5)),
        ("offset", lambda client: client.search("photos", image_id="a", offset=None)),
        ("min_score", lambda client: client.search("photos", image_id="a", min_score="high")),
        ("rescore", lambda client: client.search("photos", image_id="a", rescore="x")),
        ("consistency", lambda client: client.search("photos", image_id="a", consistency=5)),
        ("space", lambda client: client.search("photos", image_id="a", space=None)),
        ("image", lambda client: client.search("photos", image=5)),
        ("image_ids", lambda client: client.search_batch("photos", image_ids="abc")),
        ("image_ids", lambda client: client.search_batch("photos", image_ids=5)),
        ("image_ids", lambda client: client.delete_images("photos", "abc")),
        ("image_ids", lambda client: client.delete_images("photos", ["a", "\udcff"])),
        ("name", lambda client: client.get_collection(5)),
        ("name", lambda client: client.get_collection("\udcff")),
        ("name", lambda client: client.create_collection(b"cats")),
        ("model", lambda client: client.create_collection("cats", model=None)),
        ("shards", lambda client: client.create_collection("cats", shards="2")),
        ("index", lambda client: client.create_collection("cats", index=5)),
        ("name", lambda client: client.delete_collection(None)),
        ("collection", lambda client: client.get_image(None, "a")),
        ("image_id", lambda client: client.get_content("photos", 5)),
        ("job_id", lambda client: client.get_job(5)),
        ("collection", lambda client: list(client.list_jobs(5))),
        ("uri_prefix", lambda client: client.ingest_uri("photos", "file:///\udcff")),
        ("collection", lambda client: client.ingest(5, [])),
        ("on_existing", lambda client: client.ingest("photos", [], on_existing=5)),
        ("wait", lambda client: client.ingest("photos", [], wait=5)),
    ],
)
def test_arguments_that_cannot_be_sent_are_named(client, argument, call):
    with pytest.raises(InvalidRequest, match=f"^{argument}") as refused:
        call(client)
    assert refused.value.field == argument


def test_numbers_of_numpy_are_numbers(client):
    client.ingest("photos", [("a", b"aaa")]).wait()
    found = client.search("photos", image_id="a", limit=np.int64(1), min_score=np.float32(-1.0), rescore=np.int32(2))
    assert [hit.image_id for hit in found] == ["a"]


def test_images_and_their_content(client):
    client.ingest("photos", [("a", b"aaa")]).wait()
    assert client.get_image("photos", "a").size_bytes == 3
    assert client.get_content("photos", "a") == b"aaa"
    with pytest.raises(ImageNotFound, match="'b'"):
        client.get_image("photos", "b")


def test_safe_calls_are_repeated(client, server):
    server.refuse("Query", DatabaseUnavailable("restarting"), times=3)
    client.search("photos", image=b"a")
    assert len(server.called("Query")) == 4


def test_a_delete_is_repeated(client, server):
    client.ingest("photos", [("a", b"aaa")]).wait()
    server.refuse("DeleteImages", DatabaseUnavailable("restarting"), times=2)
    assert client.delete_images("photos", ["a"]).deleted == 1
    assert len(server.called("DeleteImages")) == 3


def test_other_calls_are_not_repeated(client, server):
    server.refuse("CreateCollection", DatabaseUnavailable("restarting"))
    with pytest.raises(DatabaseUnavailable, match="restarting"):
        client.create_collection("cats")
    assert len(server.called("CreateCollection")) == 2  # one of them made `photos`


def test_a_restarted_server_is_found_again(client, server):
    server.stop()
    server.start()
    assert client.get_collection("photos").name == "photos"


def test_nobody_there_says_what_to_do(tmp_path):
    with Client(f"unix:{tmp_path}/nobody.sock") as client, pytest.raises(Unavailable, match="pixvec up"):
        client.delete_collection("photos")


def test_a_job_by_uri_is_followed_to_its_end(client):
    job = client.ingest_uri("photos", "file:///pictures")
    assert job.wait().counts.total == 0
    assert job.failures == []
    assert [each.job_id for each in client.list_jobs("photos")] == [job.job_id]


def test_many_callers_do_not_multiply_what_a_server_that_is_away_is_asked(client, server):
    callers = 60
    server.refuse("GetImage", Unavailable("away"), times=10 * callers)

    def ask(number):
        with pytest.raises(Unavailable):
            client.get_image("photos", f"{number}")

    with ThreadPoolExecutor(callers) as threads:
        list(threads.map(ask, range(callers)))
    assert callers < len(server.called("GetImage")) < 2 * callers
