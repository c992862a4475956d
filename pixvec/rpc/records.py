"""The payload of a feed row: all vectors of one image, packed once by a worker, read by every follower."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from pixvec.domain import Attributes, AttributeValue, Metric, Space
from pixvec.errors import InvalidRequest, InvalidVector
from pixvec.internal.v1 import record_pb2 as pb
from pixvec.rpc.attributes import from_values, to_values

Float32Array = npt.NDArray[np.float32]

_DTYPES: dict[pb.VectorType, np.dtype[Any]] = {
    pb.VECTOR_TYPE_FLOAT16: np.dtype("<f2"),
    pb.VECTOR_TYPE_FLOAT32: np.dtype("<f4"),
}


@dataclass(frozen=True, slots=True)
class DecodedRecord:
    """`vectors`: (rows, dim) float32 by space, not to be written to. `digests`: 32 bytes by space."""

    vectors: dict[str, Float32Array]
    digests: dict[str, bytes]
    attributes: dict[str, AttributeValue]


def encode_record(vectors: Mapping[str, tuple[Space, np.ndarray]], attributes: Attributes) -> bytes:
    """Pack the vectors of one image, (rows, dim) or (dim,) by space, and its attributes.

    Numbers are kept as float16, except in a space where that would lose a number beyond its range or a whole vector.
    Raises InvalidVector for what no index could take: another dimension than the space's, a number that is not finite,
    or a vector of zeros where the metric is cosine. Raises InvalidRequest for an attribute that cannot be stored.
    """
    record = pb.FeedRecord(attributes=to_values(attributes))
    for name, (space, rows) in vectors.items():
        record.spaces.append(_encode_space(name, space, np.atleast_2d(rows)))
    return record.SerializeToString()


def decode_record(record: bytes, *, with_attributes: bool = True) -> DecodedRecord:
    """Unpack a record, without attributes for readers that need none. Raises InvalidRequest for other bytes."""
    try:
        message = pb.FeedRecord.FromString(record)
    except DecodeError as error:
        raise InvalidRequest(f"a feed record of {len(record)} bytes cannot be parsed", field="record") from error
    return DecodedRecord(
        {space.space: _decode_rows(space) for space in message.spaces},
        {space.space: space.digest for space in message.spaces},
        from_values(message.attributes) if with_attributes else {},
    )


def _encode_space(name: str, space: Space, rows: np.ndarray) -> pb.SpaceVectors:
    if rows.ndim != 2 or rows.shape[1] != space.dim:
        raise InvalidVector(f"space {name!r} takes (rows, {space.dim}), not {rows.shape}", field="vector")
    if not np.isfinite(rows).all():
        raise InvalidVector(f"a vector for space {name!r} holds NaN or infinity", field="vector")
    if space.metric is Metric.COSINE and not rows.astype(np.float32).any(axis=1).all():
        raise InvalidVector(f"a vector of zeros has no direction, which space {name!r} compares", field="vector")
    kind: pb.VectorType = pb.VECTOR_TYPE_FLOAT16 if _fits_half(rows) else pb.VECTOR_TYPE_FLOAT32
    return pb.SpaceVectors(
        space=name,
        type=kind,
        dim=space.dim,
        data=rows.astype(_DTYPES[kind]).tobytes(),
        digest=bytes.fromhex(space.digest),
    )


def _fits_half(rows: np.ndarray) -> bool:
    largest = np.abs(rows).max(axis=1, initial=0.0)
    # Below the smallest normal number digits are lost; a vector wholly there would lose its direction.
    limits = np.finfo(np.float16)
    return bool(((largest == 0) | ((largest <= limits.max) & (largest >= 16 * limits.smallest_normal))).all())


def _decode_rows(space: pb.SpaceVectors) -> Float32Array:
    dtype = _DTYPES.get(space.type)
    if dtype is None:
        raise InvalidRequest(f"space {space.space!r}: vector type {space.type} is not known here", field="record")
    row_bytes = space.dim * dtype.itemsize
    if row_bytes == 0 or len(space.data) % row_bytes:
        raise InvalidRequest(
            f"space {space.space!r}: {len(space.data)} bytes are no rows of {space.dim} numbers", field="record"
        )
    rows: Float32Array = np.frombuffer(space.data, dtype).reshape(-1, space.dim).astype(np.float32, copy=False)
    return rows
