"""Whatever comes in, the answer is a vector by the one pipeline or a typed refusal; nothing crashes."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pixvec.client import Client
from pixvec.embedded.running import RunningSystem
from pixvec.errors import (
    CollectionExists,
    CollectionNotFound,
    InvalidRequest,
    InvalidVector,
    ModelNotFound,
    PictureError,
    PixvecError,
    WeightsUnavailable,
)
from tests.pictures import encode, make_jpeg, make_picture


def png_bomb(side: int = 13_300) -> bytes:
    """Return a small PNG of side × side pixels of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def rotated_by_exif(picture: Image.Image) -> bytes:
    """Return the picture turned by a quarter, with the orientation tag that turns it back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(picture.transpose(Image.Transpose.ROTATE_90), quality=95, exif=exif)


def animated_gif() -> bytes:
    frames = [make_picture(seed) for seed in (5, 6)]
    return encode(frames[0], "GIF", save_all=True, append_images=frames[1:])


def sixteen_bit_png() -> bytes:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    return encode(Image.fromarray(ramp), "PNG")


REFUSED = {
    "no picture": (b"these bytes are no picture" * 20, "PICTURE_NOT_RECOGNISED"),
    "truncated": (make_jpeg(1, (640, 480))[:9000], "PICTURE_TRUNCATED"),
    "bomb": (png_bomb(), "PICTURE_TOO_LARGE"),
    "empty": (b"", "PICTURE_EMPTY"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>', "PICTURE_FORMAT_NOT_ALLOWED"),
}
ACCEPTED = {
    "animated": animated_gif(),
    "cmyk": encode(make_picture(2).convert("CMYK"), quality=95),
    "16-bit": sixteen_bit_png(),
    "rotated": rotated_by_exif(make_picture(3)),
    "1x1": encode(Image.new("RGB", (1, 1), "red"), "PNG"),
    "strip": encode(Image.new("RGB", (20_000, 1), "blue"), "PNG"),
    "alpha": encode(make_picture(4).convert("RGBA"), "PNG"),
}


def test_every_kind_of_file_ends_as_a_vector_or_a_typed_failure(client: Client, collection: str) -> None:
    bad = [(name, content) for name, (content, _) in REFUSED.items()]
    job = client.ingest(collection, [*bad, *ACCEPTED.items(), ("good", make_jpeg(9))])
    job.wait()
    failures = {failure.image_id: failure.error for failure in job.failures}
    assert {name: error.reason for name, error in failures.items()} == {n: reason for n, (_, reason) in REFUSED.items()}
    assert all(name in error.message for name, error in failures.items())
    assert job.counts.indexed == len(ACCEPTED) + 1
    found = client.search(collection, image=make_jpeg(9), limit=100)
    assert {hit.image_id for hit in found} == {*ACCEPTED, "good"}


@pytest.mark.parametrize("wait", ["decoded", "embedded"])
def test_a_caller_that_waits_for_a_stage_hears_of_what_does_not_reach_it(
    client: Client, collection: str, wait: str
) -> None:
    bad, reason = REFUSED["truncated"]
    pictures = [(f"{seed}", make_jpeg(seed)) for seed in range(20)]
    job = client.ingest(collection, [*pictures, ("bad", bad)], wait=wait)
    job.wait()
    assert [(failure.image_id, failure.error.reason) for failure in job.failures] == [("bad", reason)]
    assert job.counts.failed == 1


def test_a_picture_turned_by_exif_finds_its_upright_twin(client: Client, collection: str) -> None:
    client.ingest(collection, [("turned", ACCEPTED["rotated"]), ("other", make_jpeg(8))]).wait()
    upright = next(iter(client.search(collection, image=make_jpeg(3))))
    assert upright.image_id == "turned"
    assert upright.score > 0.97
    stored = client.get_image(collection, "turned")
    assert (stored.width, stored.height) == (160, 120)


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_query_picture_is_the_callers_error(client: Client, collection: str, name: str) -> None:
    with pytest.raises((PictureError, InvalidRequest)):
        client.search(collection, image=REFUSED[name][0])


def test_vectors_that_cannot_be_searched_with(client: Client, collection: str) -> None:
    dim = client.get_collection(collection).spaces[0].dim
    for vector in ([0.5] * (dim - 1), [float("nan")] * dim, [float("inf")] * dim, [0.0] * dim):
        with pytest.raises(InvalidVector):
            client.search(collection, vector=vector)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_limits_out_of_range_name_the_field(client: Client, collection: str, limit: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.search(collection, image=make_jpeg(1), limit=limit)
    assert caught.value.field == "limit"


def test_unknown_and_taken_names(client: Client, collection: str) -> None:
    with pytest.raises(CollectionNotFound, match="nowhere"):
        client.search("nowhere", image=make_jpeg(1))
    with pytest.raises(CollectionNotFound, match="nowhere"):
        client.ingest("nowhere", [("a", make_jpeg(1))]).wait()
    with pytest.raises(CollectionExists, match=collection):
        client.create_collection(collection, model="hog-color")
    with pytest.raises(ModelNotFound, match="resnet-51"):
        client.create_collection("other", model="resnet-51")
    with pytest.raises(InvalidRequest):
        client.create_collection("Not A Name", model="hog-color")


def test_weights_that_cannot_be_had_name_the_file_and_the_command(client: Client) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        client.create_collection("other", model="resnet50")
    assert "resnet50" in caught.value.message
    assert "--weights" in caught.value.message


def test_the_same_id_twice_in_one_job_leaves_one_image(client: Client, collection: str) -> None:
    job = client.ingest(collection, [("same", make_jpeg(1)), ("same", make_jpeg(2))])
    job.wait()
    hits = list(client.search(collection, image=make_jpeg(2)))
    assert [hit.image_id for hit in hits] == ["same"]
    assert hits[0].score == pytest.approx(1, abs=1e-3)


def test_a_bad_id_fails_alone(client: Client, collection: str) -> None:
    job = client.ingest(
        collection, [("", make_jpeg(1)), ("a\nb", make_jpeg(2)), ("x" * 600, make_jpeg(3)), ("ok", make_jpeg(4))]
    )
    job.wait()
    assert (job.counts.indexed, len(job.failures)) == (1, 3)


def test_the_system_is_whole_after_all_that(system: RunningSystem) -> None:
    assert all(process.restarts == 0 for process in system.processes()), "something crashed on bad input"


def test_errors_are_pixvec_errors(client: Client) -> None:
    with pytest.raises(PixvecError):
        client.get_collection("nowhere")
