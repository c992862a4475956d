"""Pictures go in and are found again, through the SDK, against the running system."""

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixvec.client import AsyncClient, Client
from pixvec.embedded.running import RunningSystem
from pixvec.errors import ImageNotFound, InvalidRequest
from tests.pictures import encode, make_jpeg, make_picture


def ingest(client: Client, collection: str, seeds: range, **options: object) -> None:
    job = client.ingest(collection, [(f"p/{seed}", make_jpeg(seed)) for seed in seeds], **options)
    job.wait()
    assert job.failures == []


def everything(client: Client, collection: str) -> list[str]:
    dim = client.get_collection(collection).spaces[0].dim
    hits = client.search(collection, vector=np.ones(dim, np.float32), limit=10_000)
    return [hit.image_id for hit in hits]


def test_each_picture_finds_itself_first(client: Client, collection: str) -> None:
    ingest(client, collection, range(40))
    for seed in range(40):
        best = next(iter(client.search(collection, image=make_jpeg(seed), limit=3)))
        assert best.image_id == f"p/{seed}"
        assert best.score == pytest.approx(1, abs=1e-3)


def test_a_cropped_shrunk_recompressed_copy_finds_its_original(client: Client, collection: str) -> None:
    ingest(client, collection, range(30))
    original = make_picture(7)
    copy = encode(original.crop((16, 12, 150, 114)).resize((100, 76)), quality=30)
    assert next(iter(client.search(collection, image=copy))).image_id == "p/7"


def test_every_picture_is_found_once(client: Client, collection: str) -> None:
    ingest(client, collection, range(50))
    assert sorted(everything(client, collection)) == sorted(f"p/{seed}" for seed in range(50))
    assert client.get_collection(collection).image_count == 50


def test_search_by_id_pages_and_thresholds(client: Client, collection: str) -> None:
    ingest(client, collection, range(20))
    whole = list(client.search(collection, image_id="p/3", limit=20))
    assert whole[0].image_id == "p/3"
    assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)
    paged = [hit for offset in (0, 7, 14) for hit in client.search(collection, image_id="p/3", limit=7, offset=offset)]
    assert [hit.image_id for hit in paged] == [hit.image_id for hit in whole]
    bar = whole[4].score
    assert len(client.search(collection, image_id="p/3", limit=20, min_score=bar)) == 5


def test_an_answer_says_what_it_covers_and_where_the_time_went(client: Client, collection: str) -> None:
    ingest(client, collection, range(5))
    result = client.search(collection, image=make_jpeg(1))
    assert result.coverage.shards_answered == result.coverage.shards_total
    assert result.timings.total >= result.timings.inference > 0


def test_attributes_come_back_when_asked_for(client: Client, collection: str) -> None:
    given = {"brand": "acme", "year": 2**60, "score": 0.5, "new": True, "tags": ["a", "b"]}
    client.ingest(collection, [("one", make_jpeg(1))], attributes=given).wait()
    (hit,) = client.search(collection, image_id="one", attributes=True)
    assert hit.attributes == given
    assert client.get_image(collection, "one").attributes == given


def test_the_picture_comes_back_whole_and_as_a_thumbnail(client: Client, collection: str) -> None:
    content = make_jpeg(1, (640, 480))
    client.ingest(collection, [("one", content)]).wait()
    assert client.get_content(collection, "one") == content
    for _ in range(2):
        thumbnail = Image.open(io.BytesIO(client.get_content(collection, "one", thumbnail=True)))
        assert thumbnail.format == "JPEG"
        assert max(thumbnail.size) == 256


def test_a_new_version_replaces_the_old(client: Client, collection: str) -> None:
    ingest(client, collection, range(3))
    client.ingest(collection, [("p/1", make_jpeg(99))]).wait()
    assert next(iter(client.search(collection, image=make_jpeg(99)))).image_id == "p/1"
    assert next(iter(client.search(collection, image=make_jpeg(1)))).score < 0.999
    assert sorted(everything(client, collection)) == ["p/0", "p/1", "p/2"]


def test_the_same_bytes_again_are_no_work(client: Client, collection: str) -> None:
    ingest(client, collection, range(3))
    again = client.ingest(collection, [(f"p/{seed}", make_jpeg(seed)) for seed in range(3)])
    again.wait()
    assert (again.counts.indexed, again.counts.unchanged) == (3, 3)


def test_what_is_there_can_be_kept_or_refused(client: Client, collection: str) -> None:
    ingest(client, collection, range(1))
    client.ingest(collection, [("p/0", make_jpeg(50))], on_existing="skip").wait()
    assert client.get_content(collection, "p/0") == make_jpeg(0)
    refused = client.ingest(collection, [("p/0", make_jpeg(50))], on_existing="fail")
    refused.wait()
    assert [failure.error.reason for failure in refused.failures] == ["IMAGE_EXISTS"]


def test_what_is_deleted_is_gone_at_once(client: Client, collection: str) -> None:
    ingest(client, collection, range(10))
    result = client.delete_images(collection, ["p/4", "p/5", "nothing"])
    assert (result.deleted, result.not_found) == (2, 1)
    assert not {"p/4", "p/5"} & set(everything(client, collection))
    with pytest.raises(ImageNotFound):
        client.get_image(collection, "p/4")
    with pytest.raises(ImageNotFound):
        client.search(collection, image_id="p/4")


def test_a_folder_by_reference(client: Client, collection: str, pictures_root: Path) -> None:
    folder = pictures_root / collection
    (folder / "sub").mkdir(parents=True)
    for seed in range(12):
        name = f"sub/{seed}.jpg" if seed % 2 else f"{seed}.jpg"
        (folder / name).write_bytes(make_jpeg(seed))
    (folder / "broken.jpg").write_bytes(b"no picture at all")
    job = client.ingest_uri(collection, folder.as_uri())
    counts = job.wait().counts
    assert (counts.indexed, counts.failed, counts.total) == (12, 1, 13)
    (failure,) = client.failures(job.job_id)
    assert "broken.jpg" in failure.error.message
    assert next(iter(client.search(collection, image=make_jpeg(1)))).image_id == "sub/1.jpg"


def test_a_folder_outside_the_roots_is_refused(client: Client, collection: str) -> None:
    with pytest.raises(InvalidRequest, match="root"):
        client.ingest_uri(collection, "file:///etc")


def test_the_async_client_does_the_same(system: RunningSystem, client: Client, collection: str) -> None:
    async def round_trip() -> str:
        async with AsyncClient(system.address) as remote:
            job = remote.ingest(collection, [("a", make_jpeg(1)), ("b", make_jpeg(2))])
            await job.wait()
            return next(iter(await remote.search(collection, image=make_jpeg(2)))).image_id

    assert asyncio.run(round_trip()) == "b"
