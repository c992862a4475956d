"""A job's pictures are listed once and added once, however often its planner is interrupted or asked."""

from contextlib import suppress

import pytest

from pixvec.catalogue.memory import in_memory
from pixvec.domain import JobState, Metric, OnExisting, Space
from pixvec.errors import ContentNotFound, DatabaseUnavailable, JobNotFound, Unavailable
from pixvec.jobs.queue import MemoryChunkQueue
from pixvec.jobs.sources import UriSources
from workers import plan
from workers.plan import plan_job

SPACE = Space("image", "means", 3, Metric.COSINE, "0" * 64)


class Planning:
    """A job for a folder of pictures, and the planner's messages."""

    def __init__(self, folder, prefix=None):
        self.folder = folder
        self.catalogue, self.queue = in_memory(), MemoryChunkQueue()
        self.sources = UriSources([folder.as_uri()], 1000)
        photos = self.catalogue.collections.create("photos", [SPACE], 1)
        self.job_id = self.jobs.create(
            photos.collection_id, OnExisting.REPLACE, uri_prefix=prefix or folder.as_uri()
        ).job_id

    @property
    def jobs(self):
        return self.catalogue.jobs

    def paint(self, *names):
        for name in names:
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(b"picture")

    def run(self, is_to_stop=lambda: False):
        plan_job(self.job_id, self.jobs, self.sources, self.queue, is_to_stop)

    def messages(self):
        return list(iter(self.queue.take_chunk, None))

    def leased(self):
        """Return (ordinal, id, URI) of every item there is."""
        chunks = iter(lambda: self.jobs.lease_next(self.job_id, "me", 60), None)
        return [(item.ordinal, item.image_id, item.uri) for chunk in chunks for item in chunk.items]


@pytest.fixture
def planning(tmp_path):
    return Planning(tmp_path)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(plan, "ITEMS_PER_CHUNK", 2)


def test_a_folder_becomes_chunks_in_order_of_its_paths(planning, small_chunks):
    planning.paint("b.jpg", "sub/c.png", "a.jpg", "notes.txt", ".hidden.jpg", "sub/a b.jpg", "z.webp")
    planning.run()
    names = ["a.jpg", "b.jpg", "sub/a b.jpg", "sub/c.png", "z.webp"]
    uris = [(planning.folder / name).as_uri() for name in names]
    assert [ref.chunk for ref in planning.messages()] == [0, 1, 2]
    assert planning.leased() == list(zip(range(5), names, uris, strict=True))
    assert planning.jobs.get(planning.job_id).state is JobState.RUNNING


def test_a_planner_that_is_told_to_stop_leaves_the_rest_to_another(planning, small_chunks):
    planning.paint(*(f"{n}.jpg" for n in range(5)))
    answers = iter([False, True])
    planning.run(lambda: next(answers))
    assert planning.jobs.get(planning.job_id).state is JobState.PLANNING
    assert (planning.jobs.get(planning.job_id).total, planning.queue.take_plan()) == (2, planning.job_id)
    planning.run()
    assert [ordinal for ordinal, _, _ in planning.leased()] == list(range(5))


def test_a_folder_without_pictures_completes(planning):
    planning.run()
    job = planning.jobs.get(planning.job_id)
    assert (job.state, job.total) == (JobState.COMPLETED, 0)
    assert planning.messages() == []


def test_a_prefix_that_is_a_picture_is_taken_in_under_its_name(tmp_path):
    planning = Planning(tmp_path, prefix=(tmp_path / "a cat.jpg").as_uri())
    planning.paint("a cat.jpg", "b.jpg")
    planning.run()
    assert planning.leased() == [(0, "a cat.jpg", (tmp_path / "a cat.jpg").as_uri())]


@pytest.mark.parametrize("call", ["add_items", "close"])
def test_an_interrupted_plan_goes_on_where_it_was(planning, small_chunks, monkeypatch, call):
    planning.paint(*(f"{number}.jpg" for number in range(6)))
    real, calls = getattr(planning.jobs, call), []

    def breaks_once(*arguments):
        calls.append(arguments)
        if len(calls) == (2 if call == "add_items" else 1):
            raise DatabaseUnavailable("restarting")
        return real(*arguments)

    monkeypatch.setattr(planning.jobs, call, breaks_once)
    with pytest.raises(DatabaseUnavailable):
        planning.run()
    assert planning.jobs.get(planning.job_id).state is JobState.PLANNING
    planning.run()
    assert [ref.chunk for ref in planning.messages()] == [0, 1, 2]
    assert [image_id for _, image_id, _ in planning.leased()] == [f"{number}.jpg" for number in range(6)]
    assert planning.jobs.get(planning.job_id).total == 6


def test_a_chunk_is_recorded_before_its_message_is_sent(planning, small_chunks):
    recorded = []

    class Watching(MemoryChunkQueue):
        def publish(self, refs):
            recorded.append([each.chunk for each in planning.jobs.open_chunks(planning.job_id)])

    planning.queue = Watching()
    planning.paint("a.jpg", "b.jpg", "c.jpg")
    planning.run()
    assert recorded == [[0], [0, 1]]


def test_a_broker_that_is_away_loses_no_picture(planning, small_chunks):
    class Down(MemoryChunkQueue):
        def publish(self, refs):
            raise Unavailable("no broker")

    planning.paint(*(f"{number}.jpg" for number in range(5)))
    planning.queue = Down()
    for _ in range(5):
        with suppress(Unavailable):
            planning.run()
    assert [image_id for _, image_id, _ in planning.leased()] == [f"{number}.jpg" for number in range(5)]


def test_a_prefix_that_cannot_be_listed_fails_the_job_and_says_why(tmp_path):
    planning = Planning(tmp_path, prefix=f"{tmp_path.as_uri()}/nothing/here")
    planning.run()
    job = planning.jobs.get(planning.job_id)
    assert job.state is JobState.FAILED
    assert job.error.reason == ContentNotFound.reason
    assert f"{tmp_path}/nothing/here" in job.error.message


def test_a_listing_that_may_work_later_leaves_the_job_to_be_planned_again(planning, monkeypatch):
    def unplugged(prefix):
        raise Unavailable("the disk is away")

    planning.paint("a.jpg")
    with monkeypatch.context() as outage:
        outage.setattr(planning.sources, "list", unplugged)
        with pytest.raises(Unavailable):
            planning.run()
    assert planning.jobs.unplanned(0, 10) == [planning.job_id]
    planning.run()
    assert len(planning.leased()) == 1


def test_a_job_that_is_planned_is_not_listed_again(planning, monkeypatch):
    planning.paint("a.jpg")
    planning.run()

    def listed_again(prefix):
        raise AssertionError("listed again")

    monkeypatch.setattr(planning.sources, "list", listed_again)
    planning.paint("b.jpg")
    planning.run()
    assert planning.jobs.get(planning.job_id).total == 1


def test_two_planners_at_once_add_each_picture_once(planning, small_chunks, monkeypatch):
    planning.paint(*(f"{number}.jpg" for number in range(5)))
    list_paths = planning.sources.list

    def list_while_the_other_is_quicker(prefix):
        monkeypatch.setattr(planning.sources, "list", list_paths)
        planning.run()
        planning.paint("late.jpg")
        return list_paths(prefix)

    monkeypatch.setattr(planning.sources, "list", list_while_the_other_is_quicker)
    planning.run()
    assert [image_id for _, image_id, _ in planning.leased()] == [f"{number}.jpg" for number in range(5)]


def test_a_collection_deleted_meanwhile_ends_the_planning(planning, monkeypatch):
    planning.paint("a.jpg")
    list_paths = planning.sources.list

    def list_and_delete(prefix):
        planning.catalogue.collections.delete("photos")
        return list_paths(prefix)

    monkeypatch.setattr(planning.sources, "list", list_and_delete)
    planning.run()
    assert planning.jobs.get(planning.job_id).error.reason == "COLLECTION_NOT_FOUND"
    assert planning.messages() == []


def test_a_job_that_is_gone_is_named(planning):
    planning.job_id = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(JobNotFound, match=planning.job_id):
        planning.run()
