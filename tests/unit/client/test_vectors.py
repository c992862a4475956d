import struct
from array import array

import numpy as np
import pytest

from pixvec.client.vectors import pack_vector, pack_vectors
from pixvec.errors import InvalidVector

NUMBERS = [0.0, 1.0, 2.0, 100.0]
PACKED = struct.pack("<4f", *NUMBERS)


@pytest.mark.parametrize("kind", ["f2", "<f2", ">f2", "f4", "<f4", ">f4", "f8", ">f8", "i1", "u1", ">i2", "u4", ">i8"])
def test_an_array_of_any_number_type_and_byte_order_is_converted(kind):
    assert pack_vector(np.array(NUMBERS, kind)) == PACKED


@pytest.mark.parametrize(
    "vector",
    [
        PACKED,
        bytearray(PACKED),
        memoryview(PACKED),
        array("f", NUMBERS),
        array("d", NUMBERS),
        memoryview(array("f", NUMBERS)),
        memoryview(PACKED).cast("f", (1, 4)),
        NUMBERS,
        iter(NUMBERS),
        np.array([NUMBERS], "f4"),
        np.array([NUMBERS], "f8"),
        np.repeat(np.array(NUMBERS, "f4"), 2)[::2],
    ],
)
def test_packed_bytes_buffers_and_numbers_mean_the_same(vector):
    assert pack_vector(vector) == PACKED


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(4, "c8"),
        np.zeros(4, "?"),
        np.zeros(4, "M8[s]"),
        np.zeros(4, [("x", "f4")]),
        np.zeros((2, 2), "f4"),
        np.array(3.0),
        np.zeros(0, "f4"),
        b"",
        b"abc",
        "1234",
        [[1.0], [2.0]],
        [10**400],
        ["1"],
    ],
)
def test_what_is_no_row_of_numbers_is_refused(vector):
    with pytest.raises(InvalidVector) as caught:
        pack_vector(vector)
    assert caught.value.field == "vector"


ROWS = [NUMBERS, NUMBERS[::-1], NUMBERS]
PACKED_ROWS = b"".join(struct.pack("<4f", *row) for row in ROWS)


@pytest.mark.parametrize(
    "vectors",
    [
        ROWS,
        iter(ROWS),
        [struct.pack("<4f", *row) for row in ROWS],
        [np.array(row, "f8") for row in ROWS],
        np.array(ROWS, "f4"),
        np.array(ROWS, ">f4"),
        np.array(ROWS, "f2"),
        np.array(ROWS, "i8"),
        np.asfortranarray(np.array(ROWS, "f4")),
        np.repeat(np.array(ROWS, "f4"), 2, axis=0)[::2],
        memoryview(PACKED_ROWS).cast("f", (3, 4)),
    ],
)
def test_rows_of_any_kind_are_packed_with_their_length(vectors):
    assert pack_vectors(vectors) == (PACKED_ROWS, 4)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([], "at least one"),
        (np.zeros((0, 4), "f4"), r"shape \(0, 4\)"),
        (np.zeros((4, 0), "f4"), r"shape \(4, 0\)"),
        (np.zeros(4, "f4"), r"shape \(4,\)"),
        (np.zeros((2, 2, 2), "f4"), "shape"),
        (PACKED, "shape"),
        (np.zeros((2, 2), "c8"), "real numbers"),
        ([NUMBERS, NUMBERS[:2]], "query 1: a vector of 2 numbers after those of 4"),
        ([NUMBERS, ["one"]], "query 1: "),
        ([1.0, 2.0], "query 0: "),
        (5, "rows of numbers"),
    ],
)
def test_what_is_no_rows_of_numbers_is_refused(vectors, message):
    with pytest.raises(InvalidVector, match=message):
        pack_vectors(vectors)
