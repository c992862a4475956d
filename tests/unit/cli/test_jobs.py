def test_jobs_and_their_failures_are_listed(run, photos, pictures):
    job_id = photos.ingest("photos", [pictures]).wait().job_id
    listed = run("jobs")
    assert listed.status == 0
    (row,) = [line for line in listed.out.splitlines() if job_id in line]
    assert row.split()[1:] == ["photos", "completed", "3", "2", "1"]
    assert run("jobs", "failures", job_id).out == "PICTURE_EMPTY: empty.jpg: the file is empty\n"


def test_a_list_of_jobs_fits_an_ordinary_terminal(run, photos, pictures, monkeypatch):
    job_id = photos.ingest("photos", [pictures]).wait().job_id
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("jobs").out.splitlines()
    assert lines[1].split() == [job_id, "photos", "completed", "3", "2", "1"]
    assert max(map(len, lines)) <= 80


def test_jobs_and_their_failures_as_json_tell_the_same(run, photos, pictures):
    job_id = photos.ingest("photos", [pictures]).wait().job_id
    (job,) = run("jobs", "--json").json
    assert (job["job_id"], job["state"], job["total"], job["failed"]) == (job_id, "completed", 3, 1)
    (failure,) = run("jobs", "failures", job_id, "--json").json
    assert (failure["image_id"], failure["error"]["reason"]) == ("empty.jpg", "PICTURE_EMPTY")


def test_a_job_that_is_not_there_is_named(run, server):
    status, _, err = run("jobs", "failures", "00000000-0000-0000-0000-000000000000")
    assert status == 1
    assert "00000000-0000-0000-0000-000000000000" in err
