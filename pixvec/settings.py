"""One frozen settings class a process, read at start-up only.

A setting is the variable `PIXVEC_NAME`, else the file `pixvec_name` in the directory that `PIXVEC_SECRETS_DIR` names.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class _Process(BaseSettings):
    """What every process is told."""

    model_config = SettingsConfigDict(env_prefix="PIXVEC_", frozen=True, extra="ignore")

    # DEBUG, INFO, WARNING or ERROR.
    log_level: str = "INFO"
    # One JSON object a line; by default where the log goes to no terminal.
    log_json: bool | None = None
    database_url: str = Field(description="SQLAlchemy address, such as postgresql+psycopg://user@host/pixvec")
    # Port where metrics are served; 0: none are.
    metrics_port: int = 0
    # Address where metrics are served.
    metrics_host: str = "127.0.0.1"


class _Queue(_Process):
    """What the processes around the queue are told beside that."""

    broker_url: str = Field(description="Redis address, such as redis://host:6379/0 or redis+socket:///run/redis.sock")


class _Pictures(_Queue):
    """What the processes that hold pictures in their hands are told beside that."""

    blob_url: str = Field(
        description="fsspec address of the blob store, such as file:///data/blobs or s3://bucket/pixvec"
    )
    # Roots under which a URI may be read, as URIs, separated by commas. Empty: no URI is accepted.
    ingest_roots: Annotated[tuple[str, ...], NoDecode] = ()
    # Larger pictures are refused.
    max_picture_bytes: int = 32 * 2**20

    @field_validator("ingest_roots", mode="before")
    @classmethod
    def _split(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        return tuple(root for root in value.split(",") if root) if isinstance(value, str) else value


class GatewaySettings(_Pictures):
    """The gateway's settings."""

    # Where the public API listens.
    gateway_listen: str = "127.0.0.1:50051"
    # Whether the server describes itself to tools such as grpcurl.
    gateway_reflection: bool = False
    # What calls under way are given to end.
    gateway_shutdown_grace_s: float = 20.0
    # gRPC target of the workers' EmbedderService.
    embedder_target: str = "127.0.0.1:50061"
    # Shards of a collection that names no number.
    default_shard_count: int = 1
    # Searchers that hold each shard.
    replicas: int = 1
    # How long a query that may go without some shards waits for them after others have answered.
    query_partial_after_s: float = Field(2.0, ge=0.0)
    # Items awaiting work, over all jobs, above which new ones are refused.
    max_open_items: int = 1_000_000
    # Ingest streams at once, above which new ones are refused; each may hold 48 MiB of pictures.
    max_ingest_streams: int = Field(64, ge=1)


class SearcherSettings(_Process):
    """A searcher's settings."""

    # Its name among searchers, the same after a restart: by it shards are assigned.
    searcher_id: str
    # Where gateways and workers reach it, and it listens.
    searcher_listen: str = "127.0.0.1:50071"
    # Where others reach this searcher; default: the listening address.
    searcher_address: str = ""
    # Folder of its own for segments and snapshots: another searcher is kept out.
    searcher_data: Path
    # fsspec address of the blob store, for snapshots of shards; empty: none are made, and none are begun with.
    blob_url: str = ""
    # Searches at once; 0: one a core.
    searcher_threads: int = Field(0, ge=0)
    # Seconds between two looks at what is assigned and how far feeds have come.
    searcher_poll_s: float = 0.2
    # Seconds after its last sign of life for which it counts as alive.
    searcher_lease_s: float = 10.0
    # Seconds between two writings of what has changed to its disk.
    searcher_snapshot_interval_s: float = 300.0
    # Growing rows of a space that are worth a sealed segment.
    searcher_seal_rows: int = Field(10_000, ge=100)
    # Memory that this searcher may count on, beside others on the machine; 0: all that the machine or its control group
    # has.
    searcher_memory_bytes: int = Field(0, ge=0)
    # Beyond this much memory of growing rows a shard's writes are pushed back until a build has caught up.
    searcher_growing_bytes: int = Field(512 * 2**20, ge=2**20)
    # The same of all shards together, of which the largest is pushed back; 0: a quarter of the searcher's memory.
    searcher_all_growing_bytes: int = Field(0, ge=0)
    # What the indexes of all shards may take; 0: half of the searcher's memory.
    searcher_index_bytes: int = Field(0, ge=0)
    # Queries asked again exactly in the background, to know the recall; they take a twentieth of one core at most.
    searcher_recall_share: float = Field(0.01, ge=0.0, le=1.0)
    # Whether segments are copied to the GPUs that are there: auto or off.
    searcher_gpus: Literal["auto", "off"] = "auto"
    # What may be taken of each GPU; 0: half of what is free.
    searcher_gpu_bytes: int = Field(0, ge=0)
    # Threads of a build, which runs when nothing else wants the processor; 0: one a core.
    searcher_build_threads: int = Field(0, ge=0)
    # What calls under way are given to end.
    searcher_shutdown_grace_s: float = 10.0


class WorkerSettings(_Pictures):
    """A worker's settings."""

    # Where gateways reach it to have queries embedded.
    worker_listen: str = "127.0.0.1:50061"
    # MODEL=FILE pairs separated by commas; a bare FILE is matched to a model by its name.
    worker_weights: str = ""
    # The folder of fitted files, checkpoints and open_clip folders that a model's text may name; empty: none.
    worker_models: str = ""
    # Whether weights that are not here may be downloaded.
    worker_download: bool = True
    # Seconds that a download may take.
    worker_download_limit_s: float = 300.0
    # Processes that decode pictures; 0: one a core.
    worker_decoders: int = 0
    # Pictures of a forward pass at most.
    worker_batch_images: int = 32
    # Seconds after which the work of a worker that is silent goes to another.
    worker_lease_s: float = 120.0
    # Pictures of more pixels are refused before they are decoded.
    max_picture_pixels: int = 40_000_000


class SweeperSettings(_Queue):
    """The sweeper's settings."""

    # Seconds between two rounds.
    sweeper_interval_s: float = 2.0
    # Seconds after which work that nobody took is published again.
    sweeper_silence_s: float = 10.0
    # How long a searcher may be missed before others take over what it holds: longer than a restart takes.
    sweeper_searcher_grace_s: float = Field(60.0, ge=0.0)
    # A streaming job without an open stream is closed after this long; gateways report open streams every minute.
    sweeper_abandoned_s: float = Field(3600.0, ge=300.0)
    # How long ended jobs, and what failed in them, can be asked for.
    sweeper_keep_jobs_days: float = Field(30.0, gt=0.0)
    # fsspec address of the blob store, for what the next two are about.
    blob_url: str = ""
    # Pictures that nothing refers to are set aside in the blob store after so many hours, and freed after as many
    # again; 0: all are kept. Only for a store that no other database refers to.
    sweeper_blob_grace_h: float = Field(0.0, ge=0.0)
    # Whether rows of a feed go once a sound snapshot in the blob store holds them. From then on the database alone does
    # not bring the index back: back up the blob store too.
    sweeper_truncate_feed: bool = False
    # How long the files of a snapshot stay once newer ones have taken its place: as old as a backup of the database may
    # be that is restored beside them.
    sweeper_snapshot_grace_days: float = Field(7.0, ge=0.0)
    # Searchers that hold each shard.
    replicas: int = 1

    @field_validator("sweeper_blob_grace_h", "sweeper_truncate_feed")
    @classmethod
    def _has_a_store(cls, value: float, info: ValidationInfo) -> float:
        if value and not info.data.get("blob_url"):
            raise ValueError("set PIXVEC_BLOB_URL too, the store that this is about")
        return value


_Settings = TypeVar("_Settings", bound=_Process)


def read_settings(kind: type[_Settings]) -> _Settings:
    """Return the settings of this process. Ends it with one line for each variable that is missing or wrong."""
    secrets = os.environ.get("PIXVEC_SECRETS_DIR")
    if secrets and not Path(secrets).is_dir():
        raise SystemExit(f"Cannot start; PIXVEC_SECRETS_DIR is {secrets}, which is no directory")
    try:
        return kind(_secrets_dir=secrets or None)
    except ValidationError as error:
        faults = (f"PIXVEC_{'_'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
        raise SystemExit("Cannot start; set these variables:\n  " + "\n  ".join(faults)) from None
