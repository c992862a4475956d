"""Feed rows into changes of an index. A row that no index can take costs its own image only, loudly."""

from collections.abc import Sequence

from pixvec.catalogue.feed import FeedEntry
from pixvec.domain import Collection
from pixvec.errors import DigestMismatch, InvalidRequest, PixvecError
from pixvec.index.interfaces import Change, Float32Array, SpaceSpec
from pixvec.index.rows import prepare_rows
from pixvec.rpc.records import DecodedRecord, decode_record
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import RECORDS_SKIPPED

log = get_logger(__name__)


def to_specs(collection: Collection) -> tuple[SpaceSpec, ...]:
    """Return what an index has to know of the spaces of a collection."""
    return tuple(
        SpaceSpec(space.name, space.dim, space.metric, space.digest, space.index) for space in collection.spaces
    )


class ChangeReader:
    """Reads feed rows of one collection's shard."""

    def __init__(self, collection: Collection, shard: int) -> None:
        self._log = log.bind(collection=collection.name, shard=shard)
        self._specs = {spec.name: spec for spec in to_specs(collection)}
        self._digests = {space.name: bytes.fromhex(space.digest) for space in collection.spaces}

    def read(self, entries: Sequence[FeedEntry]) -> list[Change]:
        """Return one change a row. An image whose row is unusable is gone: no older version may stand in for it."""
        return [self._read(entry) for entry in entries]

    def usable(self, changes: Sequence[Change]) -> list[Change]:
        """Return changes with every image dropped that has a vector no search could compare."""
        return [self._checked(change) for change in changes]

    def _read(self, entry: FeedEntry) -> Change:
        if entry.deleted:
            return Change(entry.image_id, None)
        try:
            return Change(entry.image_id, self._vectors(decode_record(entry.record, with_attributes=False)))
        except PixvecError as error:
            return self._skip(entry.image_id, error, seq=entry.seq)

    def _vectors(self, record: DecodedRecord) -> dict[str, Float32Array]:
        for name, digest in self._digests.items():
            if name not in record.vectors:
                raise InvalidRequest(f"the record has no vectors of space {name!r}")
            if record.digests[name] != digest:
                raise DigestMismatch(
                    f"the record's vectors of space {name!r} were made by {record.digests[name].hex()}, "
                    f"the space takes those of {digest.hex()}"
                )
        return {name: record.vectors[name] for name in self._digests}

    def _checked(self, change: Change) -> Change:
        try:
            for name, rows in (change.vectors or {}).items():
                prepare_rows(rows, self._specs[name])
        except PixvecError as error:
            return self._skip(change.image_id, error)
        return change

    def _skip(self, image_id: str, error: PixvecError, **fields: object) -> Change:
        RECORDS_SKIPPED.labels(error.reason).inc()
        self._log.error("record_skipped", image_id=image_id, reason=error.reason, error=error.message, **fields)
        return Change(image_id, None)
