import os
import subprocess
import sys
import threading

import pytest

from pixvec.client import IngestJob, NewImage
from pixvec.client.ingest_run import IngestLimits
from pixvec.errors import CollectionNotFound, Overloaded, Unavailable

UNFINISHED = """
import sys, threading
from pixvec.client import Client

def sources():
    yield "a", b"a"
    threading.Event().wait()

print(Client(sys.argv[1]).ingest("photos", sources()).job_id)
"""


def pictures(count, size=100):
    return [(f"{number:03}.jpg", b"%03d" % number * size) for number in range(count)]


def ingested(server):
    return {item.image_id for item in server.called("IngestItem")}


def test_every_picture_is_indexed_and_found(client):
    job = client.ingest("photos", pictures(40)).wait()
    assert (job.counts.total, job.counts.indexed, job.counts.failed) == (40, 40, 0)
    assert job.failures == []
    assert client.search("photos", image=b"007" * 100)[0].image_id == "007.jpg"
    assert client.get_job(job.job_id).indexed == 40


@pytest.mark.parametrize("broken_after", [1, 7, 39, 40])
def test_a_broken_stream_is_taken_up_again(client, server, broken_after):
    server.break_ingest_after(broken_after)
    job = client.ingest("photos", pictures(40)).wait()
    assert (job.counts.total, job.counts.indexed) == (40, 40)
    assert len(server.store.jobs) == 1
    assert len(server.store.collections["photos"].images) == 40
    assert [each.job_id for each in server.called("Ingest")] == ["", job.job_id]


def test_ordinals_stay_the_same_over_streams(client, server):
    for _ in range(3):
        server.break_ingest_after(5)
    client.ingest("photos", pictures(30)).wait()
    ordinals = {}
    for item in server.called("IngestItem"):
        assert ordinals.setdefault(item.image_id, item.ordinal) == item.ordinal
    assert ordinals == {f"{number:03}.jpg": number for number in range(30)}


def test_a_resent_file_is_read_again(client, server, tmp_path):
    for name, content in pictures(20):
        (tmp_path / name).write_bytes(content)
    server.break_ingest_after(10)
    client.ingest("photos", tmp_path).wait()
    assert {image_id: image.content for image_id, image in server.store.collections["photos"].images.items()} == dict(
        pictures(20)
    )


def test_a_bad_picture_fails_alone(client):
    job = client.ingest("photos", [("good", b"1"), ("empty", b""), ("also good", b"2")]).wait()
    assert job.counts.indexed == 2
    [failure] = job.failures
    assert (failure.image_id, failure.ordinal, failure.error.reason) == ("empty", 1, "PICTURE_EMPTY")
    assert [each.image_id for each in client.failures(job.job_id)] == ["empty"]


def test_a_file_that_cannot_be_read_fails_alone(client, tmp_path):
    (tmp_path / "there.jpg").write_bytes(b"1")
    job = client.ingest("photos", [tmp_path / "there.jpg", tmp_path / "gone.jpg"]).wait()
    assert job.counts.indexed == 1
    [failure] = job.failures
    assert "gone.jpg" in failure.error.message
    assert failure.error.reason == "CONTENT_NOT_FOUND"


def test_what_is_no_file_fails_alone(client, tmp_path):
    (tmp_path / "good.jpg").write_bytes(b"1")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.jpg")
    job = client.ingest("photos", tmp_path).wait()
    assert job.counts.indexed == 1
    assert [failure.image_id for failure in job.failures] == ["endless.jpg", "pipe.jpg"]
    assert all("is not a file" in failure.error.message for failure in job.failures)


def test_a_picture_too_large_for_a_message_fails_alone(client):
    job = client.ingest("photos", [("huge", bytes(63 * 2**20)), ("small", b"1")]).wait()
    assert job.counts.indexed == 1
    assert job.failures[0].error.reason == "PICTURE_TOO_LARGE"


def test_attributes_too_large_for_the_server_fail_alone(client, server):
    job = client.ingest("photos", [NewImage("a", content=b"a", attributes={"text": "x" * 2**26}), ("b", b"b")]).wait()
    assert job.counts.indexed == 1
    [failure] = job.failures
    assert (failure.image_id, failure.error.reason) == ("a", "INVALID_REQUEST")
    assert ingested(server) == {"b"}


def test_ids_that_no_message_carries_fail_alone(client, server):
    long = ("x" * 5 * 2**20, bytes(61 * 2**20))
    job = client.ingest("photos", [(5, b"a"), ("\udcff", b"b"), long, ("good", b"c")]).wait()
    assert [failure.error.reason for failure in job.failures] == ["INVALID_REQUEST"] * 3
    assert ingested(server) == {"good"}


def test_attributes_are_given_to_each(client):
    sources = [("a", b"a"), NewImage("b", content=b"b", attributes={"label": "mine", "year": 2001})]
    client.ingest("photos", sources, attributes=lambda image_id: {"label": image_id, "shared": True}).wait()
    assert client.get_image("photos", "a").attributes == {"label": "a", "shared": True}
    assert client.get_image("photos", "b").attributes == {"label": "mine", "shared": True, "year": 2001}


def test_an_unknown_collection_is_told_on_wait(client):
    job = client.ingest("nowhere", pictures(3))
    with pytest.raises(CollectionNotFound, match="nowhere"):
        job.wait()


def test_an_error_of_the_sources_comes_out_of_wait(client):
    def sources():
        yield "a", b"a"
        raise ZeroDivisionError("the caller's own")

    job = client.ingest("photos", sources())
    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        job.wait()
    assert client.get_image("photos", "a").size_bytes == 1


def test_overload_of_a_stream_is_waited_out(client, server):
    server.refuse("Ingest", Overloaded("too many streams"))
    assert client.ingest("photos", pictures(3)).wait().counts.indexed == 3


def test_it_gives_up_in_the_end_and_says_how_to_resume(client, server):
    server.refuse("Ingest", Unavailable("away"), times=100)
    job = client.ingest("photos", pictures(3), limits=IngestLimits(give_up_after_s=0.3))
    with pytest.raises(Unavailable, match="gave up"):
        job.wait()


def test_few_pictures_are_read_ahead(client, server):
    read = []
    all_read = threading.Event()

    def sources():
        for name, content in pictures(100, size=1000):
            read.append(name)
            yield name, content
            # Whatever was yielded beyond the window must have been accepted by then.
            assert len(read) - len(ingested(server)) <= 6
        all_read.set()

    client.ingest("photos", sources(), limits=IngestLimits(max_unaccepted=4)).wait()
    assert all_read.is_set()


def test_cancelling_ends_the_wait(client):
    release = threading.Event()

    def sources():
        yield "a", b"a"
        release.wait()

    job: IngestJob = client.ingest("photos", sources())
    assert job.job_id
    job.cancel()
    with pytest.raises(Unavailable, match="cancelled"):
        job.wait()
    release.set()


def test_an_ingest_of_nothing_ends(client):
    assert client.ingest("photos", []).wait().counts.total == 0


def test_progress_is_reported(client):
    seen = []
    client.ingest("photos", pictures(5)).wait(on_progress=seen.append)
    assert seen[-1].indexed == 5


def test_an_unfinished_ingest_does_not_keep_a_program_alive(client, server):
    program = [sys.executable, "-c", UNFINISHED, server.address]
    ended = subprocess.run(program, capture_output=True, timeout=30, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [job.job_id for job in client.list_jobs()] == ended.stdout.split()
