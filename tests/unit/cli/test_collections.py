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


def test_a_list_as_json_tells_what_there_is(run, photos):
    (listed,) = run("collection", "list", "--json").json
    assert (listed["name"], listed["image_count"]) == ("photos", 0)
    assert listed["spaces"][0]["dim"] == 8


def test_a_name_that_is_taken_is_refused_in_one_line(run, photos):
    status, out, err = run("collection", "create", "photos")
    assert (status, out) == (1, "")
    assert err == "error: collection 'photos' exists\n"


def test_a_collection_that_is_not_there_is_named(run, server):
    for command in (("show", "cats"), ("delete", "cats")):
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
