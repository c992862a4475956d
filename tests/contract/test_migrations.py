"""A database of an earlier revision keeps what it holds."""

import json

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, text

from pixvec.catalogue import migrations
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, from_spaces, to_collection
from pixvec.domain import IndexSettings, Metric, Space
from pixvec.embedded.postgres import PostgresServer
from tests.contract.catalogues import REGION_SPACE, SPACE

_IMAGES = """
INSERT INTO images (collection_id, image_id, generation, live_generation, content_hash, size_bytes, attributes, reason)
VALUES (1, 'pending', 1, NULL, '', 0, '{}', NULL), (1, 'live', 2, 2, '', 0, '{}', NULL),
    (1, 'replaced', 4, 3, '', 0, '{}', NULL), (1, 'failed', 5, NULL, '', 0, '{}', 'PICTURE_EMPTY')
"""


def migrate(connection: Connection, revision: str) -> None:
    config = migrations._config()
    config.attributes["connection"] = connection
    (command.upgrade if revision > (migrations._revision_of(connection) or "") else command.downgrade)(config, revision)


_SPACES = [{"name": name, "model": "m", "dim": 4, "metric": "cosine", "digest": "ab" * 32} for name in ("b", "a")]
_JOB = """
INSERT INTO jobs (job_id, collection_id, on_existing)
SELECT gen_random_uuid(), collection_id, 'replace' FROM collections
"""
_MODEL = """
INSERT INTO models (name, kind, base_model, dim, digest, content_hash, size_bytes, collection)
VALUES ('words', 'sift-vlad', '', 8192, '', '', 0, 'photos')
"""
_COLLECTION = "INSERT INTO collections (name, spaces, shard_count) VALUES (:name, CAST(:spaces AS jsonb), 1)"


def test_versions_on_their_way_go_on_being_so(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("earlier")
    engine = create_engine(postgres_server.url("earlier"))
    with engine.begin() as connection:
        migrate(connection, "0001")
        connection.execute(text(_IMAGES))
        migrate(connection, "0002")
        pending = dict(connection.execute(text("SELECT image_id, pending FROM images")).all())
        assert pending == {"pending": [1], "live": [], "replaced": [4], "failed": []}
        migrate(connection, "0001")
        newest = dict(connection.execute(text("SELECT image_id, generation FROM images WHERE reason IS NULL")).all())
        assert newest == {"pending": 1, "live": 2, "replaced": 4}
    engine.dispose()


def test_spaces_get_index_settings_and_keep_their_order(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("without_settings")
    engine = create_engine(postgres_server.url("without_settings"))
    with engine.begin() as connection:
        migrate(connection, "0002")
        connection.execute(text(_COLLECTION), {"name": "photos", "spaces": json.dumps(_SPACES)})
        migrate(connection, "0003")
        migrate(connection, "0006")
        row = connection.execute(text(f"SELECT {COLLECTION_COLUMNS} FROM collections c")).one()
        assert to_collection(row).spaces == tuple(
            Space(space["name"], "m", 4, Metric.COSINE, "ab" * 32, IndexSettings()) for space in _SPACES
        )
        migrate(connection, "0003")
        migrate(connection, "0002")
        assert connection.execute(text("SELECT spaces FROM collections")).scalar_one() == _SPACES
    engine.dispose()


def test_a_truncated_feed_is_not_left_to_a_program_that_would_take_it_for_the_whole(
    postgres_server: PostgresServer,
) -> None:
    postgres_server.create_database("truncated")
    engine = create_engine(postgres_server.url("truncated"))
    with engine.begin() as connection:
        migrate(connection, "0005")
        connection.execute(
            text("INSERT INTO collections (name, spaces, shard_count) VALUES ('photos', '[]', 1)"),
        )
        connection.execute(text("INSERT INTO shards (collection_id, shard, truncated_seq) VALUES (1, 0, 7)"))
    with pytest.raises(RuntimeError, match="would lose their images"), engine.begin() as connection:
        migrate(connection, "0004")
    with engine.begin() as connection:
        connection.execute(text("UPDATE shards SET truncated_seq = 0"))
        migrate(connection, "0004")
    engine.dispose()


def test_a_space_of_regions_is_not_left_to_a_program_that_cannot_fill_it(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("with_regions")
    engine = create_engine(postgres_server.url("with_regions"))
    spaces = from_spaces([SPACE, REGION_SPACE])
    with engine.begin() as connection:
        migrate(connection, "0006")
        connection.execute(text(_COLLECTION), {"name": "photos", "spaces": spaces})
    with pytest.raises(RuntimeError, match="1 collections have spaces of regions"), engine.begin() as connection:
        migrate(connection, "0005")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM collections"))
        migrate(connection, "0005")
    engine.dispose()


def test_fitted_models_are_not_left_to_a_program_that_would_free_their_files(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("fitted")
    engine = create_engine(postgres_server.url("fitted"))
    with engine.begin() as connection:
        migrate(connection, "0006")
        connection.execute(text(_COLLECTION), {"name": "photos", "spaces": "[]"})
        connection.execute(text(_JOB))
        migrate(connection, "0007")
        assert connection.execute(text("SELECT kind FROM jobs")).scalar_one() == "ingest"
        connection.execute(text(_MODEL))
    with pytest.raises(RuntimeError, match="would free"), engine.begin() as connection:
        migrate(connection, "0006")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM models"))
        migrate(connection, "0006")
    engine.dispose()


def test_linked_images_are_not_left_to_a_program_that_would_wait_for_them(postgres_server: PostgresServer) -> None:
    postgres_server.create_database("linked")
    engine = create_engine(postgres_server.url("linked"))
    with engine.begin() as connection:
        migrate(connection, "0008")
        connection.execute(
            text(
                "INSERT INTO images (collection_id, image_id, content_hash, size_bytes, attributes, duplicate_of)"
                " VALUES (1, 'copy', 'h', 1, '{}', 'original')"
            )
        )
    with pytest.raises(RuntimeError, match="1 images are linked"), engine.begin() as connection:
        migrate(connection, "0007")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM images"))
        migrate(connection, "0007")
    engine.dispose()
