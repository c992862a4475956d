import pytest

from pixvec.settings import SearcherSettings, SweeperSettings, read_settings

NEEDED = {"PIXVEC_DATABASE_URL": "postgresql://here", "PIXVEC_SEARCHER_ID": "one", "PIXVEC_SEARCHER_DATA": "/data"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in (*NEEDED, "PIXVEC_SECRETS_DIR", "PIXVEC_BLOB_URL"):
        monkeypatch.delenv(name, raising=False)


def test_settings_come_from_the_environment(monkeypatch):
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(SearcherSettings)
    assert (settings.database_url, settings.searcher_id) == ("postgresql://here", "one")


def test_a_file_of_the_secrets_directory_stands_for_a_variable(monkeypatch, tmp_path):
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIXVEC_DATABASE_URL")
    monkeypatch.setenv("PIXVEC_SECRETS_DIR", str(tmp_path))
    (tmp_path / "pixvec_database_url").write_text("postgresql://secret\n")
    (tmp_path / "pixvec_searcher_id").write_text("another")
    settings = read_settings(SearcherSettings)
    assert (settings.database_url, settings.searcher_id) == ("postgresql://secret", "one")


@pytest.mark.parametrize("directory", ["gone", "file"])
def test_a_secrets_directory_that_is_none_is_said(monkeypatch, tmp_path, directory):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIXVEC_SECRETS_DIR", str(tmp_path / directory))
    with pytest.raises(SystemExit, match="PIXVEC_SECRETS_DIR"):
        read_settings(SearcherSettings)


def test_what_is_missing_or_wrong_is_named(monkeypatch):
    monkeypatch.setenv("PIXVEC_SEARCHER_ID", "one")
    monkeypatch.setenv("PIXVEC_SEARCHER_THREADS", "many")
    with pytest.raises(SystemExit) as ended:
        read_settings(SearcherSettings)
    lines = str(ended.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "PIXVEC_DATABASE_URL",
        "PIXVEC_SEARCHER_DATA",
        "PIXVEC_SEARCHER_THREADS",
    ]


def test_pictures_are_freed_only_in_a_store_that_is_named(monkeypatch):
    monkeypatch.setenv("PIXVEC_DATABASE_URL", "postgresql://here")
    monkeypatch.setenv("PIXVEC_BROKER_URL", "redis://here")
    assert read_settings(SweeperSettings).sweeper_blob_grace_h == 0
    monkeypatch.setenv("PIXVEC_SWEEPER_BLOB_GRACE_H", "24")
    with pytest.raises(SystemExit, match=r"BLOB_GRACE_H: .*PIXVEC_BLOB_URL"):
        read_settings(SweeperSettings)
    monkeypatch.setenv("PIXVEC_BLOB_URL", "file:///data/blobs")
    assert read_settings(SweeperSettings).sweeper_blob_grace_h == 24


def test_feeds_are_truncated_only_with_a_store_that_keeps_what_goes(monkeypatch):
    monkeypatch.setenv("PIXVEC_DATABASE_URL", "postgresql://here")
    monkeypatch.setenv("PIXVEC_BROKER_URL", "redis://here")
    assert not read_settings(SweeperSettings).sweeper_truncate_feed
    monkeypatch.setenv("PIXVEC_SWEEPER_TRUNCATE_FEED", "true")
    with pytest.raises(SystemExit, match=r"TRUNCATE_FEED: .*PIXVEC_BLOB_URL"):
        read_settings(SweeperSettings)
    monkeypatch.setenv("PIXVEC_BLOB_URL", "file:///data/blobs")
    assert read_settings(SweeperSettings).sweeper_truncate_feed
