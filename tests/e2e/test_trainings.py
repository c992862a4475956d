"""Models are fitted on a collection by a job of the running system, and find things in the next collection."""

import uuid

import pytest

from pixvec.client import Client
from pixvec.domain import JobState, ModelKind
from pixvec.errors import FailedPrecondition, ModelExists, ModelNotFound
from tests.pictures import encode
from tests.scenes import crop_of, scenes

COUNT = 30
SIZE = (320, 240)
# The harder case of the two; the easy one would take as long again.
pytestmark = pytest.mark.parametrize("system", [3], indirect=True, ids=["3-shards"])


def fill(client: Client, collection: str) -> None:
    pictures = ((f"scene-{seed}", encode(scene.picture)) for seed, scene in enumerate(scenes(range(COUNT), SIZE)))
    assert client.ingest(collection, pictures).wait().failures == []


def test_a_codebook_is_trained_and_crops_are_found_by_it(client: Client, collection: str) -> None:
    with pytest.raises(FailedPrecondition, match="is empty: ingest pictures first"):
        client.models.train_codebook(collection, "nothing")
    fill(client, collection)
    name = f"words-{uuid.uuid4().hex[:8]}"
    job = client.models.train_codebook(collection, name, words=32).wait()
    assert (job.info.state, job.counts.total, job.counts.decoded) == (JobState.COMPLETED, COUNT, COUNT)
    with pytest.raises(ModelExists, match=name):
        client.models.train_codebook(collection, name)
    details = f"details-{name}"
    made = client.create_collection(details, model=job.model)
    listed = client.models.get(job.model)
    assert (listed.kind, listed.dim, listed.available) == (ModelKind.FITTED, 32 * 128, True)
    assert listed.fitted is not None
    assert (made.spaces[0].dim, made.spaces[0].digest) == (listed.dim, listed.fitted.digest)
    fill(client, details)
    found = 0
    for seed, scene in enumerate(scenes(range(COUNT), SIZE)):
        hits = client.search(details, image=encode(crop_of(scene, seed)), limit=5)
        found += f"scene-{seed}" in [hit.image_id for hit in hits]
    # Too few crops to hold more: the unit tests of SIFT do.
    assert found / COUNT >= 0.8
    with pytest.raises(FailedPrecondition, match=details):
        client.models.delete(name)
    client.delete_collection(details)
    client.models.delete(name)
    with pytest.raises(ModelNotFound):
        client.models.get(job.model)


def test_a_pca_of_stored_vectors_makes_short_ones_that_find_the_same(client: Client, collection: str) -> None:
    fill(client, collection)
    name = f"axes-{uuid.uuid4().hex[:8]}"
    with pytest.raises(FailedPrecondition, match="too few for 64 components"):
        client.models.fit_pca(collection, name, dim=64)
    job = client.models.fit_pca(collection, name, dim=16, whiten=True).wait()
    assert job.model == f"hog-color+pcaw:{name}"
    short = f"short-{name}"
    assert client.create_collection(short, model=job.model).spaces[0].dim == 16
    fill(client, short)
    for seed, scene in enumerate(scenes(range(COUNT // 4), SIZE)):
        (hit,) = client.search(short, image=encode(scene.picture), limit=1)
        assert hit.image_id == f"scene-{seed}"
    client.delete_collection(short)
