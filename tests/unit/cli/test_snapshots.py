from pixvec.client.testing import FakeServer
from pixvec.errors import BackupDamaged, CollectionNotFound


def test_a_snapshot_is_created_listed_and_restored_from(run, photos, pictures):
    photos.ingest("photos", [pictures]).wait()
    made = run("snapshot", "create", "photos")
    assert made.status == 0
    assert "Shard 0: snapshot " in made.out
    assert "2 images" in made.out
    (listed,) = run("snapshot", "list", "--json").json
    assert (listed["collection"], listed["image_count"], listed["verified"]) == ("photos", 2, True)
    assert listed["snapshot_id"] in made.out
    shown = run("snapshot", "list", "photos").out
    assert listed["snapshot_id"] in shown
    assert "verified" in shown
    restored = run("snapshot", "restore", "photos", "--snapshot", listed["snapshot_id"])
    assert f"Shard 0: snapshot {listed['snapshot_id']} at 2, then the feed to 2." in restored.out


def test_snapshots_as_json(run, photos):
    (made,) = run("snapshot", "create", "photos", "--json").json
    assert (made["shard"], made["error"], made["snapshot"]["seq"]) == (0, None, 0)
    (restored,) = run("snapshot", "restore", "photos", "--json").json
    assert restored["snapshot_id"] == made["snapshot"]["snapshot_id"]


def test_a_restore_from_the_feed_names_no_snapshot(run, photos, server: FakeServer):
    assert "Shard 0: the feed to 0." in run("snapshot", "restore", "photos", "--from-feed").out
    (request,) = server.called("RestoreCollection")
    assert request.from_feed


def test_a_shard_that_could_not_be_backed_up_ends_the_command_with_1(run, photos, server: FakeServer):
    server.fail_snapshots("this searcher has no blob store")
    status, out, _ = run("snapshot", "create", "photos")
    assert (status, out) == (1, "Shard 0: failed: this searcher has no blob store\n")
    status, out, _ = run("snapshot", "create", "photos", "--json")
    assert status == 1
    assert "this searcher has no blob store" in out


def test_what_is_refused_is_told_in_one_line(run, photos, server: FakeServer):
    assert run("snapshot", "create", "cats").err == "error: there is no collection 'cats'\n"
    assert run("snapshot", "restore", "photos").status == 1
    server.refuse("RestoreCollection", BackupDamaged("a file is missing"))
    assert run("snapshot", "restore", "photos").err == "error: a file is missing\n"
    server.refuse("ListSnapshots", CollectionNotFound("no cats"))
    assert run("snapshot", "list").err == "error: no cats\n"


def test_the_topology_tells_who_holds_what(run, photos, pictures):
    photos.ingest("photos", [pictures]).wait()
    shown = run("topology")
    assert shown.status == 0
    row, index = [line for line in shown.out.splitlines() if "photos" in line]
    cells = [cell.strip() for cell in index.strip("│").split("│")]
    assert cells == ["photos", "0", "fake-searcher", "0", "", "0", "2", ""]
    assert [cell.strip() for cell in row.strip("│").split("│")][:6] == [
        "photos",
        "0",
        "2",
        "0 to 2",
        "fake-searcher",
        "ready",
    ]
    told = run("topology", "photos", "--json").json
    assert told["collections"][0]["shards"][0]["replicas"][0]["image_count"] == 2
    assert told["searchers"][0]["memory_bytes"] == 2**20
    assert told["collections"][0]["shards"][0]["replicas"][0]["applied_seq"] == 2
    assert run("topology", "cats").status == 1
