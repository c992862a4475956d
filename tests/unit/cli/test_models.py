import pytest

from pixvec.client import Client


@pytest.fixture
def filled(photos: Client) -> Client:
    photos.ingest("photos", [(f"{number}", b"%d" % number) for number in range(5)]).wait()
    return photos


@pytest.mark.parametrize("columns", [80, 120])
def test_models_are_listed_in_a_table_that_fits_the_terminal(run, server, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    *lines, remedy = run("models").out.splitlines()
    assert max(map(len, lines)) <= columns
    assert remedy == "How to get what is not here: pixvec models show NAME"
    assert lines[0].split() == ["model", "dim", "M", "params", "MB", "source", "licence", "here"]
    kinds, network, fake = lines[1::2], lines[2], lines[4]
    assert [line.strip() for line in kinds] == ["network:", "handcrafted:"]
    assert network.split() == ["fake-network", "2048", "25.6", "102", "torchvision", "BSD-3-Clause", "no"]
    assert fake.split() == ["fake", "8", "pixvec", "Apache-2.0", "yes"]


def test_models_as_json_tell_all(run, server):
    fake, network = run("models", "--json").json
    assert (fake["name"], fake["available"]) == ("fake", True)
    assert (network["parameters"], network["detail"]) == (
        25_557_032,
        "start with `pixvec up --weights fake-network=FILE`",
    )
    assert run("models", "show", "fake-network").json == network


def test_a_codebook_is_trained_and_what_to_do_with_it_told(run, filled):
    ended = run("train", "codebook", "photos", "words", "--words", 16)
    assert ended.status == 0
    assert "Fitted sift-vlad:words: pixvec collection create NAME --model sift-vlad:words" in ended.out
    (row,) = [line for line in run("models").out.splitlines() if "sift-vlad:words" in line]
    assert "fitted on photos" in row
    assert run("models", "show", "words").json["fitted"]["kind"] == "sift-vlad"


def test_trainings_are_listed_among_jobs(run, filled, monkeypatch):
    job = run("train", "pca", "photos", "axes", "--dim", 4, "--whiten", "--json").json
    assert (job["kind"], job["training"]["size"], job["decoded"]) == ("training", 4, 5)
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("jobs").out.splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if job["job_id"] in line]
    assert row.split()[-4:] == ["completed", "5", "5", "0"]


def test_a_training_need_not_be_waited_for(run, filled):
    ended = run("train", "codebook", "photos", "words", "--kind", "sift-bow", "--no-wait")
    assert ended.out.endswith("fits sift-bow:words.\n")


def test_a_pca_is_no_codebook(run, filled):
    ended = run("train", "codebook", "photos", "words", "--kind", "pca")
    assert ended.status == 2
    assert "sift-vlad and sift-bow" in ended.err


def test_an_empty_collection_is_told_of(run, photos):
    ended = run("train", "codebook", "photos", "words")
    assert (ended.status, ended.out) == (1, "")
    assert "'photos' is empty: ingest pictures first" in ended.err


def test_a_file_is_registered_and_forgotten(run, server, tmp_path):
    file = tmp_path / "axes.safetensors"
    file.write_bytes(b"a fitted file")
    ended = run("models", "register", "axes", file, "--kind", "pca", "--base-model", "fake")
    assert ended.out == "Registered fake+pca:axes: 8 dimensions.\n"
    assert run("models", "delete", "axes").out == "Deleted axes.\n"
    assert run("models", "delete", "axes").status == 1
