"""Trainings in Postgres: rows of jobs that are leased as wholes."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from pixvec.catalogue.attempts import MAX_ATTEMPTS
from pixvec.catalogue.postgres.database import Store, reading, transaction
from pixvec.catalogue.postgres.jobs.lifecycle import find_same_key, select_job
from pixvec.catalogue.postgres.models import check_free, insert_model, lock_name
from pixvec.catalogue.postgres.rows import COLLECTION_COLUMNS, job_key, to_collection, to_training
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.trainings import LeasedTraining, SampledImage, exhaustion
from pixvec.domain import FittedModel, ItemError, Job, JobKind, TrainingSpec
from pixvec.errors import CollectionNotFound, JobNotFound

_CREATE = """
INSERT INTO jobs (job_id, collection_id, kind, on_existing, training, idempotency_key)
SELECT :job_id, collection_id, 'training', '', CAST(:training AS jsonb), :idempotency_key FROM collections
WHERE collection_id = :collection_id AND deleted_at IS NULL FOR SHARE
ON CONFLICT (collection_id, idempotency_key) WHERE idempotency_key <> '' DO NOTHING RETURNING job_id
"""
_LOCK = f"""
SELECT j.attempt, j.closed_at, j.training, j.lease_expires > now() AS is_leased, {COLLECTION_COLUMNS}
FROM jobs j JOIN collections c USING (collection_id) WHERE j.job_id = :job_id AND j.kind = 'training' FOR UPDATE OF j
"""
_LEASE = """
UPDATE jobs SET attempt = attempt + 1, lease_owner = :owner, total = 0, decoded = 0, failed = 0,
    lease_expires = now() + make_interval(secs => :ttl_s)
WHERE job_id = :job_id
"""
_END = """
closed_at = now(), ended_at = now(), lease_owner = NULL, lease_expires = NULL, reason = :reason, message = :message,
retryable = :retryable
"""
_HELD = "WHERE job_id = :job_id AND lease_owner = :owner AND closed_at IS NULL"
_RENEW = f"UPDATE jobs SET lease_expires = now() + make_interval(secs => :ttl_s) {_HELD} AND lease_expires > now()"
_RELEASE = f"UPDATE jobs SET attempt = attempt - 1, lease_owner = NULL, lease_expires = NULL {_HELD}"
_PUT_OFF = f"UPDATE jobs SET lease_owner = NULL, lease_expires = now() + make_interval(secs => :pause_s) {_HELD}"
_NOTE = f"UPDATE jobs SET total = :total, decoded = :decoded, failed = :failed {_HELD}"
_SILENT = """
SELECT job_id FROM jobs
WHERE kind = 'training' AND closed_at IS NULL AND active_at <= now() - make_interval(secs => :silent_s)
    AND (lease_expires IS NULL OR lease_expires <= now())
ORDER BY active_at LIMIT :limit
"""
# By a hash of the id: evenly, and the same images after a crash. A sort of the best few is all it costs beside a scan.
_SAMPLE = """
SELECT image_id, content_hash FROM images
WHERE collection_id = :collection_id AND live_generation IS NOT NULL AND content_hash <> ''
ORDER BY md5(image_id) COLLATE "C", image_id LIMIT :size
"""
_RECORDS = """
SELECT f.image_id, f.record
FROM unnest(CAST(:shards AS integer[]), CAST(:image_ids AS text[])) AS n(shard, image_id)
JOIN feed f ON f.collection_id = :collection_id AND f.shard = n.shard AND f.image_id = n.image_id AND NOT f.deleted
"""
_SHARDS = "SELECT shard_count FROM collections WHERE collection_id = :collection_id AND deleted_at IS NULL"


class PostgresTrainingStore(Store):
    """TrainingStore in Postgres."""

    @transaction
    def create(
        self, connection: Connection, collection_id: int, spec: TrainingSpec, *, idempotency_key: str = ""
    ) -> Job:
        """Create a job, or return the one that the same key made before. Raises CollectionNotFound, InvalidRequest,
        ModelExists."""
        lock_name(connection, spec.name)
        before = find_same_key(connection, collection_id, idempotency_key, JobKind.TRAINING)
        if before is not None:
            return select_job(connection, before)
        check_free(connection, spec.name)
        values = {"job_id": uuid.uuid4(), "collection_id": collection_id, "idempotency_key": idempotency_key}
        values["training"] = json.dumps(asdict(spec))
        job_id = connection.execute(text(_CREATE), values).scalar()
        if job_id is None:
            # Of another name, so that it did not wait for this one's lock.
            job_id = find_same_key(connection, collection_id, idempotency_key, JobKind.TRAINING)
        if job_id is None:
            raise CollectionNotFound(f"collection {collection_id} has been deleted", field="collection")
        return select_job(connection, job_id)

    @transaction
    def lease(self, connection: Connection, job_id: str, owner: str, ttl_s: float) -> LeasedTraining | None:
        """Lease a training that nobody works on, or end it if it has had every attempt. Raises JobNotFound."""
        values: dict[str, Any] = {"job_id": job_key(job_id), "owner": owner, "ttl_s": ttl_s}
        row = connection.execute(text(_LOCK), values).one_or_none()
        if row is None:
            raise JobNotFound(f"no training {job_id!r}: it may be of a deleted collection", field="job_id")
        if row.closed_at is not None or row.is_leased:
            return None
        if row.attempt >= MAX_ATTEMPTS:
            connection.execute(text(f"UPDATE jobs SET {_END} WHERE job_id = :job_id"), values | asdict(exhaustion()))
            return None
        connection.execute(text(_LEASE), values)
        return LeasedTraining(job_id, owner, row.attempt + 1, to_collection(row), to_training(row.training))

    @transaction
    def renew(self, connection: Connection, job_id: str, owner: str, ttl_s: float) -> bool:
        """Extend a lease. Return False when it has been lost, or the job was ended."""
        values = {"job_id": job_key(job_id), "owner": owner, "ttl_s": ttl_s}
        return connection.execute(text(_RENEW), values).rowcount > 0

    @transaction
    def release(self, connection: Connection, job_id: str, owner: str) -> None:
        """Give a lease back unused."""
        connection.execute(text(_RELEASE), {"job_id": job_key(job_id), "owner": owner})

    @transaction
    def put_off(self, connection: Connection, job_id: str, owner: str, pause_s: float) -> None:
        """Give a lease back after an attempt that counts."""
        connection.execute(text(_PUT_OFF), {"job_id": job_key(job_id), "owner": owner, "pause_s": pause_s})

    @transaction
    def note(self, connection: Connection, job_id: str, owner: str, total: int, decoded: int, failed: int) -> None:
        """Note how far the sample has come, without waiting for the disk."""
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        values = {"job_id": job_key(job_id), "owner": owner, "total": total, "decoded": decoded, "failed": failed}
        connection.execute(text(_NOTE), values)

    @transaction
    def complete(self, connection: Connection, job_id: str, owner: str, model: FittedModel) -> bool:
        """Register what was fitted and end the job. Return False when the lease has been lost."""
        lock_name(connection, model.name)
        done = {"job_id": job_key(job_id), "owner": owner, "reason": None, "message": None, "retryable": False}
        if connection.execute(text(f"UPDATE jobs SET {_END} {_HELD}"), done).rowcount == 0:
            return False
        insert_model(connection, model)
        return True

    @transaction
    def fail(self, connection: Connection, job_id: str, owner: str, error: ItemError) -> None:
        """End the job as failed, if the lease still holds."""
        values = {"job_id": job_key(job_id), "owner": owner} | asdict(error)
        connection.execute(text(f"UPDATE jobs SET {_END} {_HELD}"), values)

    @reading
    def silent(self, connection: Connection, silent_s: float, limit: int) -> list[str]:
        """Return ids of open trainings that nobody works on and no message was sent for, the oldest first."""
        rows = connection.execute(text(_SILENT), {"silent_s": silent_s, "limit": limit})
        return [str(job_id) for job_id in rows.scalars()]

    @reading
    def sample(self, connection: Connection, collection_id: int, size: int) -> list[SampledImage]:
        """Return up to `size` of the images that can be found, drawn evenly, the same ones each time."""
        rows = connection.execute(text(_SAMPLE), {"collection_id": collection_id, "size": size})
        return [SampledImage(row.image_id, row.content_hash) for row in rows]

    @reading
    def records(self, connection: Connection, collection_id: int, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the feed's records of those images that it has."""
        shard_count = connection.execute(text(_SHARDS), {"collection_id": collection_id}).scalar()
        if shard_count is None:
            return {}
        shards = [shard_of(image_id, shard_count) for image_id in image_ids]
        values = {"collection_id": collection_id, "shards": shards, "image_ids": list(image_ids)}
        return {row.image_id: bytes(row.record) for row in connection.execute(text(_RECORDS), values)}
