import pytest

from pixvec.api.v1 import collection_service_pb2 as pb
from pixvec.errors import Overloaded


def test_a_collection_is_created_listed_shown_and_deleted(run, server):
    made = run("collection", "create", "photos", "--shards", 3)
    assert made.status == 0
    assert made.out == "Created photos: model fake, 8 dimensions, 3 shards.\nfake: there is no other.\n"
    assert "photos" in run("collection", "list").out
    assert run("collection", "show", "photos").json["shard_count"] == 3
    assert run("collection", "delete", "photos") == (0, "Deleted photos.\n", "")
    assert run("collection", "list", "--json").json == []


def test_the_model_that_is_asked_for_is_asked_for(run, server):
    run("collection", "create", "photos", "--model", "hog-color")
    assert server.called("CreateCollection")[0].model == "hog-color"


def test_objects_and_further_spaces_can_be_asked_for(run, server):
    made = run(
        "collection", "create", "photos", "--detector", "words", "--embedding", "crop", "--max-regions", 5,
        "--min-score", 0.3, "--class-agnostic", "--space", "colour=hsv", "--space", "deep=timm:x",
    )  # fmt: skip
    assert made.out.splitlines()[1:4] == [
        "Space colour: hsv, 8 dimensions, one vector for each image.",
        "Space deep: timm:x, 8 dimensions, one vector for each image.",
        "Space region: words, 8 dimensions, one vector for each region.",
    ]
    shown = run("collection", "show", "photos").json["spaces"][3]["regions"]
    assert shown == {
        "detector": "words", "embedding": "crop", "class_agnostic": True, "min_score": 0.3, "max_regions": 5,
        "min_area_share": 0.0, "background_out": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--max-regions", 5), "--max-regions is about the objects"),
        (("--space", "colour"), "'colour' is no NAME=MODEL"),
        (("--space", "a=x", "--space", "a=y"), "space 'a' is given twice"),
    ],
)
def test_options_that_say_half_are_wrong_usage(run, server, options, message):
    ended = run("collection", "create", "photos", *options)
    assert ended.status == 2
    assert message in " ".join(ended.err.split())
    assert not server.called("CreateCollection")


def test_a_list_as_json_tells_what_there_is(run, photos):
    (listed,) = run("collection", "list", "--json").json
    assert (listed["name"], listed["image_count"]) == ("photos", 0)
    assert listed["spaces"][0]["dim"] == 8


def test_a_name_that_is_taken_is_refused_in_one_line(run, photos):
    status, out, err = run("collection", "create", "photos")
    assert (status, out) == (1, "")
    assert err == "error: collection 'photos' exists\n"


def test_a_collection_that_is_not_there_is_named(run, server):
    for command in (("show", "cats"), ("delete", "cats"), ("update", "cats", "--nlist", 5)):
        assert run("collection", *command) == (1, "", "error: there is no collection 'cats'\n")


def test_a_name_is_shown_as_it_is_though_it_looks_like_markup(run, server):
    assert run("collection", "delete", "[all] [/b] :cat:").err == "error: there is no collection '[all] [/b] :cat:'\n"
    server.refuse("CreateCollection", Overloaded("pip install 'pixvec[all]'"))
    assert run("collection", "create", "x").err == "error: pip install 'pixvec[all]'\n"


def test_a_long_name_in_a_list_is_not_cut(run, server, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "x" * 60
    run("collection", "create", name)
    shown = "".join(character for character in run("collection", "list").out if character == "x")
    assert shown == name


def index_of(run):
    (space,) = run("collection", "show", "photos").json["spaces"]
    return space["index"]


def test_how_it_is_indexed_can_be_said_and_changed(run, server):
    assert run("collection", "create", "photos", "--index", "hnsw", "--storage", "float32", "--hnsw-m", 48).status == 0
    made = {"kind": "hnsw", "storage": "float32", "hnsw_m": 48, "ef_construction": 0, "nlist": 0}
    assert index_of(run) == made
    told = run("collection", "update", "photos", "--index", "ivf_sq8", "--nlist", 100, "--hnsw-m", 0)
    assert told.out == "photos, space image: index ivf_sq8, vectors as float32, nlist 100.\n"
    assert index_of(run) == made | {"kind": "ivf_sq8", "nlist": 100, "hnsw_m": 0}
    [request] = server.called("UpdateCollection")
    assert sorted(request.update_mask.paths) == ["index.hnsw_m", "index.kind", "index.nlist"]


def test_without_a_word_about_it_a_collection_chooses_its_index(run, server):
    run("collection", "create", "photos")
    index = server.called("CreateCollection")[0].index
    assert index == pb.IndexSettings(kind=pb.INDEX_KIND_AUTO, storage=pb.VECTOR_STORAGE_FLOAT16)


@pytest.mark.parametrize("command", ["create", "update"])
def test_an_index_that_there_is_not_is_wrong_usage_and_the_others_are_named(run, photos, command):
    ended = run("collection", command, "photos", "--index", "tree")
    assert ended.status == 2
    assert "'ivf_rabitq'" in ended.err


def test_an_update_of_nothing_says_what_can_be_updated(run, photos):
    status, out, err = run("collection", "update", "photos")
    assert (status, out) == (1, "")
    assert err == "error: nothing to change: give some of kind, storage, hnsw_m, ef_construction, nlist\n"
