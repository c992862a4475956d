"""The schema's revisions, shipped with the package and run from it: `python -m pixvec.catalogue.migrations`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.exc import InterfaceError, OperationalError

from pixvec.errors import DatabaseUnavailable, SchemaMismatch

# Any number; the same in every process, so that two migrations of one database never overlap.
_LOCK = 7_461_203


def upgrade(database_url: str) -> None:
    """Bring the database to this program's schema revision. Safe to run by several at once, and again.

    Raises DatabaseUnavailable, and SchemaMismatch when the database is from a newer program.
    """
    engine = create_engine(database_url, poolclass=pool.NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            _refuse_newer(_revision_of(connection))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {error.orig}") from error
    finally:
        engine.dispose()


def head_revision() -> str:
    """Return the schema revision that this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def check_schema(connection: Connection) -> None:
    """Raise SchemaMismatch unless the database is at this program's revision."""
    found, needed = _revision_of(connection), head_revision()
    if found != needed:
        raise SchemaMismatch(
            f"the database is at schema revision {found or 'none'} and this program needs {needed}:"
            f" {_remedy(found)}, then start again"
        )


def _refuse_newer(found: str | None) -> None:
    if found is not None and not _is_known(found):
        raise SchemaMismatch(
            f"the database is at schema revision {found} and this program knows none above {head_revision()}:"
            f" {_remedy(found)}"
        )


def _remedy(found: str | None) -> str:
    if found is not None and not _is_known(found):
        return "install the newer pixvec that made it"
    return "run `pixvec up`, or `python -m pixvec.catalogue.migrations` with PIXVEC_DATABASE_URL set"


def _is_known(revision: str) -> bool:
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
