import pytest

from pixvec.cli import main
from pixvec.errors import InvalidRequest


def test_a_folder_is_taken_in_and_a_bad_file_is_named(run, photos, pictures):
    status, out, err = run("ingest", "photos", pictures)
    assert status == 1
    assert "indexed 2  failed 1" in err
    assert out == "failed: empty.jpg: the file is empty\n"
    assert photos.get_image("photos", "sub/b[all].png").size_bytes == 15


def test_without_failures_it_ends_well(run, photos, pictures):
    (pictures / "empty.jpg").unlink()
    ended = run("ingest", "photos", pictures)
    assert (ended.status, ended.out) == (0, "")
    assert "indexed 2  failed 0" in ended.err


def test_as_json_it_says_the_same(run, photos, pictures):
    ended = run("ingest", "photos", pictures, "--json")
    assert (ended.status, ended.err) == (1, "")
    told = ended.json
    assert (told["total"], told["indexed"], told["failed"]) == (3, 2, 1)
    assert [job.job_id for job in photos.list_jobs()] == [told["job_id"]]
    (failure,) = told["failures"]
    assert (failure["image_id"], failure["error"]["reason"]) == ("empty.jpg", "PICTURE_EMPTY")


def test_single_files_and_folders_go_together(run, photos, pictures):
    run("ingest", "photos", pictures / "notes.txt", pictures / "sub")
    assert photos.get_image("photos", "b[all].png").size_bytes == 15
    assert photos.get_collection("photos").image_count == 2


def test_a_name_that_looks_like_markup_is_shown_as_it_is(run, photos, pictures):
    (pictures / "[red] [x].jpg").touch()
    assert "failed: [red] [x].jpg: the file is empty\n" in run("ingest", "photos", pictures).out


def test_a_path_that_is_not_there_is_wrong_usage(run, photos, pictures):
    ended = run("ingest", "photos", pictures / "nowhere")
    assert ended.status == 2
    assert "does not exist" in ended.err


def test_a_folder_without_pictures_is_said_to_be_one(run, photos, tmp_path):
    (empty := tmp_path / "empty").mkdir()
    status, _, err = run("ingest", "photos", empty)
    assert status == 1
    assert err.startswith(f"error: no pictures in {empty}: ")


def test_a_collection_that_is_not_there_is_named_before_anything_is_sent(run, server, pictures):
    assert run("ingest", "cats", pictures) == (1, "", "error: there is no collection 'cats'\n")
    assert not server.called("Ingest")


def test_a_gateway_that_is_not_there_is_told_at_once_and_how_to_start_one(run, nobody, pictures):
    status, out, err = run("ingest", "photos", pictures)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: no pixvec answers at {nobody}")
    assert "pixvec up" in err


def test_an_ingest_that_breaks_off_is_an_error(run, server, photos, pictures):
    server.refuse("Ingest", InvalidRequest("no more of these, please"))
    status, out, err = run("ingest", "photos", pictures)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "error: no more of these, please"


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_ends_it_with_130(run, photos, pictures, monkeypatch, as_json):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "count_pictures", interrupt)
    assert run("ingest", "photos", pictures, *(["--json"] if as_json else [])).status == 130
