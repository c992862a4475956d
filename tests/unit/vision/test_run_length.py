"""Masks as run lengths: known ones are as COCO writes them, and any comes back as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pixvec.domain import Mask
from pixvec.vision.run_length import decode_mask, encode_mask


def inside(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        # Down the columns, not along the rows.
        (("..#", "..#"), (4, 2)),
        (("...", "###"), (1, 1, 1, 1, 1, 1)),
        # It begins with pixels outside, though there be none.
        (("#..", "#.."), (0, 2, 4)),
        (("###", "###"), (0, 6)),
        (("...", "..."), (6,)),
        (("#",), (0, 1)),
        ((".",), (1,)),
    ],
)
def test_the_runs_of_known_masks(rows: tuple[str, ...], counts: tuple[int, ...]) -> None:
    mask = encode_mask(inside(*rows))
    assert mask == Mask(width=len(rows[0]), height=len(rows), counts=counts)
    assert np.array_equal(decode_mask(mask), inside(*rows))


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_any_mask_comes_back(pixels: np.ndarray) -> None:
    mask = encode_mask(pixels)
    assert np.array_equal(decode_mask(mask), pixels)
    assert (mask.height, mask.width) == pixels.shape
    assert all(mask.counts[1:])
    assert all(isinstance(count, int) for count in mask.counts)


@pytest.mark.parametrize("counts", [(), (5,), (3, 4)])
def test_runs_of_another_picture_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"runs of {sum(counts)} pixels are no mask of 3 x 2"):
        decode_mask(Mask(3, 2, counts))
