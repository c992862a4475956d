"""What only the shard over FAISS promises: searches beside a writer and beside builds."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pixvec.domain import Metric
from pixvec.index.growing import GrowingRows
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.index.plan import BuildPolicy
from pixvec.index.sealing import index_in_this_process, seal
from pixvec.index.shard import Shard

SPACES = (SpaceSpec("left", 8, Metric.COSINE), SpaceSpec("right", 4, Metric.EUCLIDEAN))
IMAGES = 20


def generation(number: int) -> list[Change]:
    """Every image at once, its vectors all saying which generation it is of."""
    left = np.zeros((1, 8), np.float32)
    left[0, number % 8] = 1
    right = np.full((1, 4), float(number), np.float32)
    return [Change(f"image-{place}", {"left": left, "right": right}) for place in range(IMAGES)]


@pytest.mark.parametrize("builds", [False, True], ids=["growing", "sealed"])
def test_readers_see_whole_batches_only(builds: bool, tmp_path: Path) -> None:
    shard = Shard(SPACES, block_bytes=4 * 8 * 30)
    shard.apply(generation(0), 0)
    written, wrong = threading.Event(), []

    def compact() -> None:
        while builds:
            begun = shard.begin_build(BuildPolicy(seal_rows=IMAGES, max_segment_rows=3 * IMAGES))
            if begun is not None:
                shard.finish_build(begun, seal(tmp_path, begun, index_in_this_process))
            if written.is_set():
                return

    def read() -> None:
        origin = np.zeros((1, 4), np.float32)
        while not written.is_set():
            (hits,) = shard.search("right", origin, 100)
            if len(hits.image_ids) != IMAGES or len(set(hits.scores.tolist())) != 1:
                wrong.append(hits)
            stored = shard.vectors("right", ["image-0", "image-7"])
            if len({float(rows[0, 0]) for rows in stored.values()}) != 1:
                wrong.append(stored)

    others = [threading.Thread(target=call) for call in (compact, read, read, read)]
    for other in others:
        other.start()
    for number in range(1, 200):
        shard.apply(generation(number), number)
    written.set()
    for other in others:
        other.join()
    assert not wrong
    assert bool(list(tmp_path.iterdir())) is builds
    assert shard.applied_seq == 199


def test_a_view_is_of_one_moment_in_every_space() -> None:
    shard = Shard(SPACES)
    shard.apply(generation(3), 3)
    view = shard.view
    shard.apply([Change(f"image-{place}", None) for place in range(IMAGES)], 4)
    assert (view.applied_seq, view.image_count) == (3, IMAGES)
    assert [space.live_count for space in view.spaces.values()] == [IMAGES, IMAGES]
    assert [space.live_count for space in shard.view.spaces.values()] == [0, 0]


def test_what_grows_is_counted_by_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks while a batch is applied is not shown blocks that come and go."""
    shard = Shard(SPACES, block_bytes=4 * 8 * 3)
    shard.apply(generation(0), 0)
    before, seen, put = shard.growing_bytes, [], GrowingRows.put

    def watched(rows: GrowingRows, image_ids: list[str], vectors: np.ndarray) -> None:
        put(rows, image_ids, vectors)
        seen.append(shard.growing_bytes)

    monkeypatch.setattr(GrowingRows, "put", watched)
    shard.apply([Change(f"new-{change.image_id}", change.vectors) for change in generation(1)], 1)
    assert before == 4 * (8 + 4) * IMAGES
    assert (seen, shard.growing_bytes) == ([before, before], 2 * before)


def test_nearly_equal_rows_at_the_cut_are_told_apart_by_id() -> None:
    """More of them than are fetched at first, in many queries at once, where FAISS' own order is by chance."""
    space = SpaceSpec("image", 512, Metric.COSINE)
    shard = Shard([space], block_bytes=4 * 512 * 64)
    random = np.random.default_rng(0)
    blank = random.standard_normal((1, 512)).astype(np.float32)
    order = random.permutation(500).tolist()
    shard.apply([Change(f"blank-{number:03}", {"image": blank}) for number in order], 1)
    queries = np.repeat(blank, 40, axis=0) + random.standard_normal((40, 512)).astype(np.float32) * 0.01
    for hits in shard.search("image", queries, 10):
        assert hits.image_ids == [f"blank-{number:03}" for number in range(10)]
