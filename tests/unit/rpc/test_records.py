from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pixvec.domain import Metric, Space
from pixvec.errors import InvalidRequest, InvalidVector
from pixvec.internal.v1 import record_pb2 as pb
from pixvec.rpc.records import decode_record, encode_record

IMAGE = Space("image", "resnet50", 4, Metric.COSINE, "ab" * 32)
DISTANT = Space("image", "resnet50", 4, Metric.EUCLIDEAN, "ab" * 32)
REGION = Space("region", "resnet50", 2, Metric.EUCLIDEAN, "cd" * 32)


def vectors_of(rows: object, space: Space = IMAGE) -> dict[str, tuple[Space, np.ndarray]]:
    return {space.name: (space, np.array(rows, np.float32))}


def test_everything_comes_back() -> None:
    regions = vectors_of([[1, 2], [3, 4], [5, 6]], REGION)
    packed = encode_record(vectors_of([0.5, 0.25, -1, 0]) | regions, {"brand": "acme", "year": 1999})
    record = decode_record(packed)
    assert record.vectors["image"].tolist() == [[0.5, 0.25, -1, 0]]
    assert record.vectors["region"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert {rows.dtype for rows in record.vectors.values()} == {np.dtype(np.float32)}
    assert record.digests == {"image": bytes.fromhex("ab" * 32), "region": bytes.fromhex("cd" * 32)}
    assert record.attributes == {"brand": "acme", "year": 1999}


@pytest.mark.parametrize("metric", Metric)
def test_a_picture_without_any_object_has_no_rows(metric: Metric) -> None:
    space = replace(REGION, metric=metric)
    record = decode_record(encode_record({"region": (space, np.zeros((0, 2), np.float32))}, {}))
    assert record.vectors["region"].shape == (0, 2)
    assert record.digests["region"] == bytes.fromhex("cd" * 32)
    with pytest.raises(InvalidVector):
        encode_record({"region": (space, np.zeros((0, 3), np.float32))}, {})


def test_two_bytes_a_number() -> None:
    space = Space("image", "resnet50", 2048, Metric.COSINE, "ab" * 32)
    rows = np.random.default_rng(0).standard_normal(2048).astype(np.float32)
    assert len(encode_record({"image": (space, rows / np.linalg.norm(rows))}, {})) < 2 * 2048 + 80


def test_attributes_can_be_left_alone() -> None:
    assert decode_record(encode_record(vectors_of([1, 0, 0, 0]), {"a": 1}), with_attributes=False).attributes == {}


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(4)),
        elements=st.floats(-(2.0**60), 2.0**60, width=32),
    )
)
def test_no_vector_is_lost_to_half_precision(rows: np.ndarray) -> None:
    back = decode_record(encode_record({"image": (DISTANT, rows)}, {})).vectors["image"]
    largest = np.abs(rows).max(axis=1, keepdims=True)
    assert (np.abs(back - rows) <= 1e-3 * largest).all()


@pytest.mark.parametrize("rows", [[70000, 0, 0, 0], [1e-7, 0, 0, 0]])
def test_what_half_precision_cannot_hold_is_kept_in_full(rows: list[float]) -> None:
    packed = encode_record(vectors_of(rows), {})
    assert pb.FeedRecord.FromString(packed).spaces[0].type == pb.VECTOR_TYPE_FLOAT32
    assert decode_record(packed).vectors["image"].tolist() == [np.array(rows, np.float32).tolist()]


@pytest.mark.parametrize("rows", [[1, 2, 3], [[[1, 2, 3, 4]]], [1, 2, 3, np.nan], [1, 2, 3, np.inf]])
def test_bad_vectors_are_refused(rows: object) -> None:
    with pytest.raises(InvalidVector):
        encode_record(vectors_of(rows), {})


@pytest.mark.parametrize("rows", [[0, 0, 0, 0], [[1, 2, 3, 4], [0, 0, 0, -0.0]]])
def test_a_vector_without_direction_is_refused_where_directions_are_compared(rows: object) -> None:
    with pytest.raises(InvalidVector, match="no direction"):
        encode_record(vectors_of(rows), {})
    assert encode_record(vectors_of(rows, DISTANT), {})


def test_a_number_that_vanishes_when_stored_is_a_zero() -> None:
    with pytest.raises(InvalidVector, match="no direction"):
        encode_record({"image": (IMAGE, np.full(4, 1e-60))}, {})


def broken(**fields: object) -> bytes:
    space = {"space": "image", "type": pb.VECTOR_TYPE_FLOAT16, "dim": 4, "data": bytes(8), "digest": bytes(32)}
    return pb.FeedRecord(spaces=[pb.SpaceVectors(**space | fields)]).SerializeToString()


@pytest.mark.parametrize(
    "record",
    [b"\xff\xff", broken(data=bytes(7)), broken(dim=0), broken(type=0), broken(type=9)],
    ids=["no message", "cut short", "no dimension", "no type", "unknown type"],
)
def test_other_bytes_are_refused(record: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_record(record)
    assert caught.value.field == "record"


def test_an_intact_record_of_that_kind_is_read() -> None:
    assert decode_record(broken()).vectors["image"].shape == (1, 4)
