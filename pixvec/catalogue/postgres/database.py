"""Connections and transactions, and the one place where the driver's errors become ours: DatabaseUnavailable for a lost
database, PixvecError for what should not happen."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pixvec.catalogue import migrations
from pixvec.errors import DatabaseUnavailable, InvalidRequest, PixvecError

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Store")

_TRIES = 8
_SESSION = {
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}


class Overtaken(Exception):
    """Raised inside a transaction that another one got ahead of: `Database.run` starts it again."""


class Database:
    """An engine over psycopg. Safe to use from many threads; a restarted server is met with fresh connections."""

    def __init__(self, database_url: str, *, pool_size: int = 8) -> None:
        try:
            self._engine = create_engine(
                database_url,
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_timeout=10.0,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": 5,
                    "application_name": "pixvec",
                    "options": " ".join(f"-c {name}={value}" for name, value in _SESSION.items()),
                    "keepalives_idle": 10,
                    "keepalives_interval": 5,
                    "keepalives_count": 3,
                },
            )
        except ArgumentError as error:
            raise InvalidRequest(f"not a database address: {error}", field="database_url") from error

    def close(self) -> None:
        """Close every idle connection; those in use close when they are given back."""
        self._engine.dispose()

    def check_schema(self) -> None:
        """Raise SchemaMismatch unless the database is at this program's revision."""
        self.run(migrations.check_schema)

    def run(self, work: Callable[[Connection], R]) -> R:
        """Run `work` in a transaction, again from the start where Postgres gave it up for another one's sake."""
        for left in reversed(range(_TRIES)):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except (DBAPIError, PoolTimeout) as error:
                if not (left and _was_sacrificed(error)):
                    raise _translated(error) from error
            except Overtaken as error:
                if not left:
                    raise DatabaseUnavailable(f"too many writers at once: {error}", retry_after_s=1.0) from error
        raise AssertionError("the last try returns or raises")

    def read(self, work: Callable[[Connection], R]) -> R:
        """Run `work`, one reading statement, without the round trips of a transaction around it."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                return work(connection)
        except (DBAPIError, PoolTimeout) as error:
            raise _translated(error) from error


class Store:
    """Base of the stores: holds the database that the decorators below run a method against."""

    def __init__(self, database: Database) -> None:
        self._database = database


def transaction(method: Callable[Concatenate[S, Connection, P], R]) -> Callable[Concatenate[S, P], R]:
    """Give a method its connection, in one transaction that commits when it returns."""

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._database.run(lambda connection: method(self, connection, *args, **kwargs))

    return run


def reading(method: Callable[Concatenate[S, Connection, P], R]) -> Callable[Concatenate[S, P], R]:
    """Give a method its connection, for reading: each statement sees its own moment."""

    @functools.wraps(method)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._database.read(lambda connection: method(self, connection, *args, **kwargs))

    return run


def _was_sacrificed(error: Exception) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else None
    return isinstance(cause, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)


@contextmanager
def driver_errors(connection: Connection) -> Iterator[None]:
    """Treat what the driver raises when it is used beside SQLAlchemy as `Database` treats what SQLAlchemy raises."""
    try:
        yield
    except psycopg.Error as error:
        driver = connection.connection.driver_connection
        if driver is None or driver.closed:
            connection.invalidate(error)
        raise _told(error) from error


def _translated(error: DBAPIError | PoolTimeout) -> PixvecError:
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable("every connection to the database is in use; try again", retry_after_s=1.0)
    return _told(error.orig)


def _told(cause: BaseException | None) -> PixvecError:
    """Return what a driver's error says: of the database, or of a statement, which is a fault of ours."""
    reason = "".join(str(cause).strip().splitlines()[:1])
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.ReadOnlySqlTransaction):
        return DatabaseUnavailable(f"the database cannot be used now: {reason}", retry_after_s=1.0)
    return PixvecError(f"the database refused a statement: {reason}")
