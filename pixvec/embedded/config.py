"""What a one-machine system is told, and where it keeps things."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixvec.embedded.ports import check_address
from pixvec.errors import FailedPrecondition, InvalidRequest


def default_data_dir() -> Path:
    """Return where a system keeps its data unless told otherwise. Root's is outside root's home, which Postgres, which
    refuses to run as root, could not enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/pixvec")
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "pixvec"


@dataclass(frozen=True, slots=True)
class StackConfig:
    """A whole system on this machine. `shards` is the default of new collections, `searchers` a number of processes;
    `roots` are folders that pictures may be read from by URI. Port 0 in `listen` means any free one. `metrics_port` is
    the first of the ports that metrics are served at, one a process; 0 for none."""

    data_dir: Path = field(default_factory=default_data_dir)
    listen: str = "127.0.0.1:50051"
    shards: int = 1
    searchers: int = 1
    replicas: int = 1
    weights: Mapping[str, Path] = field(default_factory=dict)
    download: bool = True
    roots: tuple[Path, ...] = ()
    metrics_port: int = 0

    def __post_init__(self) -> None:
        check_address(self.listen)
        if not 1 <= self.searchers <= 64:
            raise InvalidRequest(f"{self.searchers} searchers: choose 1 to 64", field="searchers")
        if not 1 <= self.shards <= 256:
            raise InvalidRequest(f"{self.shards} shards: choose 1 to 256", field="shards")
        if not 1 <= self.replicas <= self.searchers:
            raise InvalidRequest(
                f"{self.replicas} replicas need as many searchers and there are {self.searchers}:"
                f" add --searchers {max(self.replicas, 1)}",
                field="replicas",
            )
        if not 0 <= self.metrics_port <= 65535 - len(self._measured):
            raise InvalidRequest(
                f"metrics port {self.metrics_port}: choose 1 to {65535 - len(self._measured)}, or 0 for none",
                field="metrics_port",
            )
        for name, path in self.weights.items():
            if not path.exists():
                raise InvalidRequest(f"the weights of {name} are not at {path}", field="weights")
        for root in self.roots:
            if not root.is_dir():
                raise InvalidRequest(f"the root {root} is not a folder", field="roots")
        for path in (*self.weights.values(), *self.roots):
            if "," in str(path):
                raise InvalidRequest(f"{path}: a path with a comma cannot be passed on; rename it")

    @property
    def metrics_addresses(self) -> dict[str, str]:
        """Where each process that has metrics serves them: http://ADDRESS/metrics. Empty where none does."""
        if not self.metrics_port:
            return {}
        return {name: f"127.0.0.1:{self.metrics_port + place}" for place, name in enumerate(self._measured)}

    @property
    def _measured(self) -> list[str]:
        return ["gateway", "worker", "sweeper", *(f"searcher-{number}" for number in range(self.searchers))]

    @property
    def run_dir(self) -> Path:
        """A short folder for sockets, whose paths Unix limits to 107 bytes: the same for the same data folder."""
        digest = hashlib.sha256(os.fsencode(self.data_dir.resolve())).hexdigest()[:10]
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        if os.geteuid() != 0 and runtime and len(runtime) < 40 and Path(runtime).is_dir():
            return Path(runtime) / f"pixvec-{digest}"
        return Path("/tmp") / f"pixvec-{os.geteuid()}-{digest}"  # noqa: S108 - made 0700 and checked below

    @property
    def log_dir(self) -> Path:
        """Where each process writes its log."""
        return self.data_dir / "logs"

    @property
    def state_path(self) -> Path:
        """Where the running supervisor says how things stand."""
        return self.data_dir / "state.json"


def make_folders(config: StackConfig) -> None:
    """Make the data and run folders. Raises FailedPrecondition where they are someone else's or cannot be made."""
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        config.log_dir.mkdir(exist_ok=True, mode=0o700)
        config.run_dir.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise FailedPrecondition(f"cannot make {error.filename}: {error.strerror}; choose another --data") from error
    found = config.run_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FailedPrecondition(f"{config.run_dir} belongs to someone else: remove it, or choose another --data")
