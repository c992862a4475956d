"""A worker that is killed, or told to stop, in the midst of a training: another one does it, as if nothing had been."""

import signal
from collections.abc import Iterator

import pytest

from pixvec.blobs.store import FsspecBlobStore
from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.domain import FittedKind, JobState, Metric, OnExisting, Space, TrainingSpec
from pixvec.errors import ModelNotFound
from pixvec.jobs.queue import CeleryChunkQueue
from tests.integration.workplaces import LIMIT_S, Workplace, furnished, until
from tests.pictures import encode
from tests.scenes import scenes

CONTENTS = 10
# More than any machine gets through between two looks at it; a training that nobody waits for may be longer still.
IMAGES, MANY_IMAGES = 600, 5_000


@pytest.fixture
def workplace(database_url: str) -> Iterator[Workplace]:
    with furnished(database_url) as place:
        yield place


def begin(workplace: Workplace, images: int = IMAGES) -> str:
    """Fill a collection, ask for a training on all of it, and return its job."""
    blobs = FsspecBlobStore((workplace.folder / "blobs").as_uri())
    contents = [blobs.put(encode(scene.picture)) for scene in scenes(range(CONTENTS))]
    space = Space("image", "hog-color", 4, Metric.COSINE, "ab" * 32)
    collection_id = workplace.catalogue.collections.create("photos", [space], 1).collection_id
    jobs = workplace.catalogue.jobs
    ingest = jobs.create(collection_id, OnExisting.REPLACE).job_id
    jobs.add_items(ingest, [NewItem(n, f"{n}", {}, contents[n % CONTENTS], 1) for n in range(images)])
    chunk = jobs.lease_next(ingest, "ingest", 60)
    assert chunk is not None
    embedded = [EmbeddedItem(each, b"", each.content_hash, 1, "JPEG", 224, 224) for each in chunk.items]
    workplace.catalogue.feed_writer.commit(chunk, embedded, [])
    spec = TrainingSpec("words", FittedKind.SIFT_VLAD, 16, images)
    job_id = workplace.catalogue.trainings.create(collection_id, spec).job_id
    publish(workplace, job_id)
    return job_id


def publish(workplace: Workplace, job_id: str) -> None:
    queue = CeleryChunkQueue(workplace.redis.url)
    queue.publish_training(job_id)
    queue.close()


def test_a_killed_worker_leaves_a_training_that_another_begins_anew(workplace: Workplace) -> None:
    jobs, job_id = workplace.catalogue.jobs, begin(workplace)
    with workplace.worker(PIXVEC_WORKER_LEASE_S="2") as process:
        until(lambda: jobs.get(job_id).decoded)
        process.kill()
        process.wait(LIMIT_S)
    left = jobs.get(job_id)
    assert left.state is JobState.RUNNING
    assert 0 < left.decoded < IMAGES
    with pytest.raises(ModelNotFound):
        workplace.catalogue.models.get("words")
    until(lambda: workplace.catalogue.trainings.silent(0, 10))
    with workplace.worker():
        # What the sweeper does.
        publish(workplace, job_id)
        until(lambda: jobs.get(job_id).state.ended)
    ended = jobs.get(job_id)
    assert (ended.state, ended.decoded, ended.error) == (JobState.COMPLETED, IMAGES, None)
    assert workplace.catalogue.models.get("words").dim == 16 * 128


def test_a_worker_that_is_told_to_stop_hands_its_training_on(workplace: Workplace) -> None:
    jobs, job_id = workplace.catalogue.jobs, begin(workplace, MANY_IMAGES)
    with workplace.worker() as process:
        until(lambda: jobs.get(job_id).decoded)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert jobs.get(job_id).state is JobState.RUNNING
    leased = workplace.catalogue.trainings.lease(job_id, "another", 60)
    assert leased is not None
    # It was given back, not charged.
    assert (leased.attempt, jobs.get(job_id).decoded) == (1, 0)
    workplace.catalogue.trainings.release(job_id, "another")
    # The message that it was handed on with is there for whoever comes.
    with workplace.worker():
        until(lambda: jobs.get(job_id).decoded)
