import pytest


@pytest.fixture
def job_id(photos):
    return photos.ingest("photos", [("good", b"1"), ("[empty]", b"")]).wait().job_id


def test_jobs_are_listed_as_json(run, job_id):
    [job] = run("jobs", "--json").json
    assert (job["job_id"], job["collection"], job["state"]) == (job_id, "photos", "completed")
    assert (job["total"], job["indexed"], job["failed"]) == (2, 1, 1)
    assert job["created_at"]


def test_failures_are_listed_as_json(run, job_id):
    [failure] = run("jobs", "failures", job_id, "--json").json
    assert (failure["ordinal"], failure["image_id"], failure["error"]["reason"]) == (1, "[empty]", "PICTURE_EMPTY")


def test_a_list_of_nothing_is_json_too(run, server):
    assert run("jobs", "--json").json == []


def test_jobs_and_failures_are_listed_for_people(run, job_id):
    assert job_id in run("jobs").out
    assert run("jobs", "failures", job_id).out.startswith("PICTURE_EMPTY: ")
