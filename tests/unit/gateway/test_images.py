import threading

import pytest

from pixvec.api.v1 import image_service_pb2 as pb
from pixvec.domain import Box, Mask, Region
from pixvec.errors import CollectionNotFound, ContentNotFound, ImageNotFound, PictureNotRecognised, Unavailable
from pixvec.rpc.blocking import BlockingCalls
from services.gateway.deletions import Deletions
from tests.in_loop import in_loop
from tests.unit.gateway.writing import FakeContext, IngestCall, WriteSide

CONTEXT = FakeContext()


async def with_images(side, *items, regions=()):
    call = IngestCall(side)
    for ordinal, (image_id, content) in enumerate(items):
        call.send((ordinal, image_id, content))
    call.close()
    await call.until(lambda call: len(call.at(pb.INGEST_STAGE_QUEUED)) == len(items))
    side.work(regions=regions)
    await call.to_the_end()


def content_of(image_id, variant=pb.CONTENT_VARIANT_UNSPECIFIED):
    return pb.GetContentRequest(collection="photos", image_id=image_id, variant=variant)


@in_loop
async def test_an_image_is_described():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"bytes"))
        found = await side.service.GetImage(pb.GetImageRequest(collection="photos", image_id="a"), CONTEXT)
        assert (found.image.state, found.image.width, found.image.height) == (pb.IMAGE_STATE_INDEXED, 4, 3)
        assert len(found.image.content_hash) == 64
        with pytest.raises(ImageNotFound):
            await side.service.GetImage(pb.GetImageRequest(collection="photos", image_id="b"), CONTEXT)
        with pytest.raises(CollectionNotFound):
            await side.service.GetImage(pb.GetImageRequest(collection="other", image_id="a"), CONTEXT)


@in_loop
async def test_regions_are_told_when_asked_for():
    region = Region(0, Box(1, 2, 3, 4), "cat", 0.75, Mask(2, 2, (1, 3)))
    async with WriteSide().running() as side:
        await with_images(side, ("a#1", b"bytes"), regions=(region,))
        asked = pb.GetImageRequest(collection="photos", image_id="a#1", include_regions=True)
        (told,) = (await side.service.GetImage(asked, CONTEXT)).image.regions
        assert (told.region_id, told.class_name, told.score, told.box.y2) == ("a#1#0", "cat", 0.75, 4)
        assert list(told.mask.counts) == [1, 3]
        asked.include_regions = False
        assert not (await side.service.GetImage(asked, CONTEXT)).image.regions


@pytest.mark.parametrize("method", ["GetImage", "GetContent"])
@in_loop
async def test_a_database_that_does_not_answer_is_not_waited_for_without_end(monkeypatch, method):
    leave = threading.Event()
    async with WriteSide().running() as side:
        await side.directory.collection("photos")
        monkeypatch.setattr(side.service, "_sql", BlockingCalls("database", 1, read_within_s=0.01))
        monkeypatch.setattr(side.service._contents._pictures, "_sql", side.service._sql)
        monkeypatch.setattr(side.catalogue.images, "get", lambda *_: leave.wait(30))
        request = content_of("a") if method == "GetContent" else pb.GetImageRequest(collection="photos", image_id="a")
        with pytest.raises(Unavailable, match="the database has not answered"):
            await getattr(side.service, method)(request, CONTEXT)
        leave.set()


@in_loop
async def test_the_original_comes_back():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"bytes"))
        found = await side.service.GetContent(content_of("a"), CONTEXT)
        assert (found.content, found.media_type) == (b"bytes", "image/jpeg")


@in_loop
async def test_a_thumbnail_is_rendered_once():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"bytes"))
        for _ in range(3):
            found = await side.service.GetContent(content_of("a", pb.CONTENT_VARIANT_THUMBNAIL), CONTEXT)
            assert (found.content, found.media_type) == (b"thumbnail 256 of bytes", "image/jpeg")
        assert side.embedder.calls == ["render_thumbnail"]


@in_loop
async def test_no_thumbnail_of_no_picture():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"bad picture"))
        with pytest.raises(PictureNotRecognised):
            await side.service.GetContent(content_of("a", pb.CONTENT_VARIANT_THUMBNAIL), CONTEXT)


@pytest.mark.parametrize("variant", [pb.CONTENT_VARIANT_ORIGINAL, pb.CONTENT_VARIANT_THUMBNAIL])
@in_loop
async def test_what_was_never_fetched_has_no_content(tmp_path, variant):
    async with WriteSide(roots=(tmp_path.as_uri(),)).running() as side:
        (tmp_path / "a.jpg").write_bytes(b"x")
        call = IngestCall(side)
        call.send_item(ordinal=0, image_id="a", uri=(tmp_path / "a.jpg").as_uri())
        await call.until(lambda call: call.at(pb.INGEST_STAGE_QUEUED) == [0])
        await call.leave()
        with pytest.raises(ContentNotFound, match="not stored"):
            await side.service.GetContent(content_of("a", variant), CONTEXT)


@in_loop
async def test_deletes_are_counted_pushed_and_dated():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"1"), ("b", b"2"), ("c", b"3"))
        request = pb.DeleteImagesRequest(collection="photos", image_ids=["a", "b", "a", "nothing"])
        answer = await side.service.DeleteImages(request, CONTEXT)
        assert (answer.deleted, answer.not_found) == (2, 1)
        assert answer.token.positions
        pushed = {entry.image_id for batch in side.pusher.pushed for entry in batch.entries if entry.deleted}
        assert pushed == {"a", "b"}
        with pytest.raises(ImageNotFound):
            await side.service.GetImage(pb.GetImageRequest(collection="photos", image_id="a"), CONTEXT)


@in_loop
async def test_a_delete_that_is_committed_succeeds_though_too_many_pushes_wait():
    async with WriteSide().running() as side:
        await with_images(side, ("a", b"1"))
        no_room = BlockingCalls("pushes", 1, max_waiting=0)
        deletions = Deletions(
            side.directory, side.catalogue.feed_writer, side.pusher, side.publisher, side.sql, no_room
        )
        deleted = await deletions.delete("photos", ["a"])
        assert deleted.deleted == 1
        assert deleted.token.positions
        assert side.pusher.pushed == []
