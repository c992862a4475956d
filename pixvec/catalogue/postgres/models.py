"""Fitted models in Postgres."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, text

from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, to_collection, to_training
from pixvec.catalogue.trainings import check_unused, taken, unknown
from pixvec.domain import FittedKind, FittedModel

_COLUMNS = "name, kind, base_model, dim, digest, content_hash, size_bytes, collection, created_at"
_SELECT = f"SELECT {_COLUMNS} FROM models"
_INSERT = f"""
INSERT INTO models ({_COLUMNS}) VALUES (:name, :kind, :base_model, :dim, :digest, :content_hash, :size_bytes,
    :collection, :created_at)
"""
# Whoever gives a name away holds this lock: of two at once the second one sees what the first one did.
_LOCK_NAME = "SELECT pg_advisory_xact_lock(hashtextextended('models ' || :name, 0))"
_TAKEN = """
SELECT EXISTS (SELECT FROM models WHERE name = :name)
    OR EXISTS (SELECT FROM jobs WHERE kind = 'training' AND closed_at IS NULL AND training ->> 'name' = :name)
"""
_OPEN_TRAININGS = "SELECT training FROM jobs WHERE kind = 'training' AND closed_at IS NULL"
_COLLECTIONS = f"SELECT {COLLECTION_COLUMNS} FROM collections c WHERE c.deleted_at IS NULL"


class PostgresModelStore(Store):
    """ModelStore in Postgres."""

    @transaction
    def register(self, connection: Connection, model: FittedModel) -> None:
        """Raises ModelExists when the name is taken by a model or by a training that has not ended."""
        lock_name(connection, model.name)
        check_free(connection, model.name)
        insert_model(connection, model)

    @reading
    def get(self, connection: Connection, name: str) -> FittedModel:
        """Raises ModelNotFound."""
        row = connection.execute(text(f"{_SELECT} WHERE name = :name"), {"name": name}).one_or_none()
        if row is None:
            raise unknown(name)
        return _to_model(row)

    @reading
    def page(self, connection: Connection, after_name: str, limit: int) -> list[FittedModel]:
        """Return up to `limit` models with names above `after_name`, by name."""
        statement = text(f"{_SELECT} WHERE name > :after ORDER BY name LIMIT :limit")
        return [_to_model(row) for row in connection.execute(statement, {"after": after_name, "limit": limit})]

    @transaction
    def delete(self, connection: Connection, name: str) -> None:
        """Raises ModelNotFound, FailedPrecondition when a space of a collection or another model is made with it."""
        if connection.execute(text("DELETE FROM models WHERE name = :name"), {"name": name}).rowcount == 0:
            raise unknown(name)
        collections = map(to_collection, connection.execute(text(_COLLECTIONS)))
        trainings = map(to_training, connection.execute(text(_OPEN_TRAININGS)).scalars())
        check_unused(name, collections, map(_to_model, connection.execute(text(_SELECT))), trainings)


def lock_name(connection: Connection, name: str) -> None:
    """Let nobody else give this name away until the transaction ends."""
    connection.execute(text(_LOCK_NAME), {"name": name})


def check_free(connection: Connection, name: str) -> None:
    """Raise ModelExists when a name is taken."""
    if connection.execute(text(_TAKEN), {"name": name}).scalar():
        raise taken(name)


def insert_model(connection: Connection, model: FittedModel) -> None:
    """Write a model whose name is free."""
    connection.execute(text(_INSERT), asdict(model))


def _to_model(row: Row[Any]) -> FittedModel:
    fields = row._asdict()
    return FittedModel(**fields | {"kind": FittedKind(fields["kind"])})
