"""Pictures with any number of objects, and with none: all of them are held, found as pictures, and let go."""

from pathlib import Path

import numpy as np

from pixvec.domain import Metric, RegionSettings, Space
from pixvec.rpc.records import encode_record
from services.searcher.held_shard import HeldShard
from tests.in_loop import in_loop
from tests.unit.searcher.searching import SPACE, Bench, found, names, vector

REGIONS = Space("region", "blobs", 3, Metric.COSINE, "cd" * 32, regions=RegionSettings("blobs"))


def with_objects(number: int, objects: int) -> bytes:
    rows = np.eye(3, dtype=np.float32)[:objects]
    return encode_record({"image": (SPACE, vector(number)), "region": (REGIONS, rows)}, {})


def found_objects(held: HeldShard) -> dict[str, int]:
    """Return which object of each picture is like the third kind of object."""
    (hits,) = held.index.search("region", np.eye(3, dtype=np.float32)[2:], 10)
    ordinals = np.zeros(len(hits.image_ids)) if hits.ordinals is None else hits.ordinals
    best = zip(hits.image_ids, ordinals.tolist(), hits.scores.tolist(), strict=True)
    return {image_id: ordinal for image_id, ordinal, score in best if score > 0.5}


@in_loop
async def test_a_picture_without_any_object_is_a_picture_like_others(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(spaces=[SPACE, REGIONS])
        for number, objects in enumerate((0, 3, 1)):
            bench.index(collection, number, record=with_objects(number, objects))
        held = await bench.ready(collection)
        assert found(held) == names(0, 1, 2)
        assert held.index.image_count == 3
        assert found_objects(held) == {"image-1": 2}
        assert held.index.vectors("region", ["image-0", "image-2"]).keys() == {"image-2"}


@in_loop
async def test_a_shard_of_pictures_without_any_object_comes_back_from_its_snapshot(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        collection = bench.collection(spaces=[SPACE, REGIONS])
        for number in range(4):
            bench.index(collection, number, record=with_objects(number, 0))
        await bench.ready(collection)
        await bench.snapshots.write_changed()
        bench.delete(collection, 0)
        bench.index(collection, 1, record=with_objects(1, 3))
        bench.start()
        bench.database.pages.clear()
        held = await bench.ready(collection)
        assert bench.database.pages == [4]
        assert found(held) == names(1, 2, 3)
        assert held.index.image_count == 3
        assert found_objects(held) == {"image-1": 2}
        bench.index(collection, 1, record=with_objects(1, 0))
        bench.delete(collection, 2)
        held = await bench.ready(collection)
        assert found(held) == names(1, 3)
        assert held.index.image_count == 2
        assert found_objects(held) == {}
