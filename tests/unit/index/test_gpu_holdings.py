"""Segments come to devices and go from them as shards change."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from pixvec.domain import IndexKind, SearchOptions
from pixvec.index.gpu import Device, DeviceFailed
from pixvec.index.gpu_holdings import GpuHoldings
from pixvec.index.gpu_loading import load
from pixvec.index.gpu_memory import MemoryDevice
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_placement import Purpose, Refusal
from pixvec.index.gpu_sizes import Form, flat_bytes, list_bytes
from pixvec.index.manifest import ShardIdentity
from pixvec.index.sealed import SealedSegment
from pixvec.index.shard import Shard
from pixvec.index.snapshot import load_newest, write_snapshot
from tests.unit.index.segments import build, clustered, puts, sealed_shard, spec

DIM, ROWS, LONG_S = 16, 2_000, 300.0
FLAT_BYTES = flat_bytes(ROWS, DIM, half=True)
EXACT = SearchOptions(exact=True)


class Gpus:
    """Devices in memory, and what lies on them, moved by hand."""

    def __init__(self, *capacities: int, limit_bytes: int | None = 2**30, least_rows: int = 1) -> None:
        self.devices = [MemoryDevice(capacity) for capacity in capacities]
        self.owners = [
            DeviceOwner(f"twin{number}", lambda device=device: device, patience_s=LONG_S)  # type: ignore[misc]
            for number, device in enumerate(self.devices)
        ]
        self.time = 0.0
        self.holdings = GpuHoldings(self.owners, limit_bytes, least_rows=least_rows, clock=lambda: self.time)

    def reconcile(self, *shards: Shard) -> list[Refusal]:
        return self.holdings.reconcile({(1, number): segments(shard) for number, shard in enumerate(shards)})

    @property
    def used(self) -> list[int]:
        return [device.used_bytes for device in self.devices]


def segments(shard: Shard) -> list[SealedSegment]:
    return [view.segment for space in shard.view.spaces.values() for view in space.sealed]


def is_searched_by(device: MemoryDevice, shard: Shard, options: SearchOptions = EXACT) -> bool:
    before = len(device.searches)
    shard.search("image", clustered(1, DIM), 5, options=options)
    return len(device.searches) > before


@pytest.fixture
def gpus() -> Iterator[Callable[..., Gpus]]:
    made: list[Gpus] = []

    def make(*capacities: int, **options: int | None) -> Gpus:
        made.append(Gpus(*capacities, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.holdings.close()
        assert each.used == [0] * len(each.devices)


@pytest.fixture
def shard(tmp_path: Path) -> Callable[..., Shard]:
    def make(kind: IndexKind = IndexKind.FLAT, rows: int = ROWS) -> Shard:
        return sealed_shard(spec(kind, dim=DIM), clustered(rows, DIM), tmp_path)

    return make


def test_a_segment_comes_and_goes(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one = gpus(2**20), shard()
    assert here.reconcile(one) == []
    assert here.used == [FLAT_BYTES]
    assert REGISTRY.get_sample_value("pixvec_gpu_bytes", {"device": "twin0"}) == FLAT_BYTES
    assert is_searched_by(here.devices[0], one)
    # A shard that was dropped.
    assert here.reconcile() == []
    assert here.used == [0]
    assert not is_searched_by(here.devices[0], one)
    assert segments(one)[0].gpu is None


def test_what_a_build_replaces_goes_and_what_it_made_comes(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard], tmp_path: Path
) -> None:
    here, one = gpus(3 * FLAT_BYTES), shard()
    here.reconcile(one)
    one.apply(puts(clustered(ROWS, DIM, 1), first=ROWS), 2 * ROWS)
    assert here.used == [FLAT_BYTES]
    build(one, tmp_path)
    assert len(segments(one)) == 1
    # There is no room for both, nor need there be.
    assert here.reconcile(one) == []
    assert here.used == [2 * FLAT_BYTES]
    assert is_searched_by(here.devices[0], one)


def test_what_a_snapshot_held_comes_too(gpus: Callable[..., Gpus], shard: Callable[..., Shard], tmp_path: Path) -> None:
    identity = ShardIdentity(1, 0, "epoch", (spec(dim=DIM),))
    write_snapshot(tmp_path, shard().view, identity)
    restored = load_newest(tmp_path, identity)
    assert restored is not None
    here = gpus(2**20)
    here.reconcile(restored)
    assert is_searched_by(here.devices[0], restored)


def test_looking_again_changes_nothing(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one = gpus(2**20), shard()
    here.reconcile(one)
    gpu = segments(one)[0].gpu
    here.reconcile(one)
    assert segments(one)[0].gpu is gpu
    assert here.used == [FLAT_BYTES]


def test_a_shard_that_is_too_large_is_refused_with_the_arithmetic(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard]
) -> None:
    here, one = gpus(FLAT_BYTES - 1), shard()
    ((need, free_bytes),) = here.reconcile(one)
    assert (need.key, need.size_bytes, free_bytes) == (((1, 0), Purpose.SEARCH), FLAT_BYTES, FLAT_BYTES - 1)
    assert need.arithmetic == f"{ROWS} rows * ({DIM} dimensions * 2 bytes + 4)"
    assert here.used == [0]
    assert not is_searched_by(here.devices[0], one)


def test_a_shard_that_outgrows_the_device_leaves_it(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard], tmp_path: Path
) -> None:
    here, one = gpus(FLAT_BYTES + 100), shard()
    assert here.reconcile(one) == []
    one.apply(puts(clustered(50, DIM, 1), first=ROWS), ROWS + 50)
    build(one, tmp_path)
    assert len(segments(one)) == 2
    assert [refusal.need.size_bytes for refusal in here.reconcile(one)] == [flat_bytes(ROWS + 50, DIM, half=True)]
    assert here.used == [0]


def test_no_more_is_taken_than_is_allowed(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    assert gpus(2**20, limit_bytes=FLAT_BYTES - 1).reconcile(shard()) != []
    assert gpus(2**20, limit_bytes=FLAT_BYTES).reconcile(shard()) == []
    assert gpus(2 * FLAT_BYTES, limit_bytes=None).reconcile(shard()) == []
    assert gpus(2 * FLAT_BYTES - 2, limit_bytes=None).reconcile(shard()) != []


def test_what_others_take_meanwhile_is_not_there(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one, two = gpus(3 * FLAT_BYTES), shard(), shard()
    assert here.reconcile(one) == []
    here.devices[0].capacity_bytes = 2 * FLAT_BYTES - 1
    assert [refusal.need.key[0] for refusal in here.reconcile(one, two)] == [(1, 1)]
    assert here.used == [FLAT_BYTES]
    here.devices[0].capacity_bytes = 3 * FLAT_BYTES
    assert here.reconcile(one, two) == []
    assert here.used == [2 * FLAT_BYTES]


def test_shards_are_spread_over_devices(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one, two = gpus(FLAT_BYTES, FLAT_BYTES), shard(), shard()
    assert here.reconcile(one, two) == []
    assert here.used == [FLAT_BYTES, FLAT_BYTES]
    assert is_searched_by(here.devices[0], one) != is_searched_by(here.devices[1], one)


def test_small_segments_stay_on_the_cpu(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here = gpus(2**20, least_rows=1_000)
    assert here.reconcile(shard(rows=999)) == []
    assert here.used == [0]


def test_inverted_lists_come_in_both_forms_as_far_as_there_is_room(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard]
) -> None:
    roomy, one = gpus(2**20), shard(IndexKind.IVF_SQ8)
    assert roomy.reconcile(one) == []
    assert is_searched_by(roomy.devices[0], one, SearchOptions())
    assert is_searched_by(roomy.devices[0], one, EXACT)
    roomy.reconcile()
    lists = list_bytes(ROWS, DIM, segments(one)[0].index.nlist)
    scarce = gpus(lists + FLAT_BYTES - 1)
    refusals = scarce.reconcile(one)
    assert [refusal.need.key[1] for refusal in refusals] == [Purpose.EXACT]
    assert scarce.used == [lists]
    assert is_searched_by(scarce.devices[0], one, SearchOptions())
    assert not is_searched_by(scarce.devices[0], one, EXACT)


def test_what_fails_in_a_search_is_taken_off_and_tried_again_in_a_while(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard]
) -> None:
    here, one = gpus(2**20), shard()
    here.reconcile(one)
    here.devices[0].is_broken = True
    assert not is_searched_by(here.devices[0], one)
    here.devices[0].is_broken = False
    here.reconcile(one)
    assert here.used == [0]
    here.time = 59
    here.reconcile(one)
    assert here.used == [0]
    here.time = 60
    here.reconcile(one)
    assert is_searched_by(here.devices[0], one)


def test_what_cannot_be_copied_is_tried_again_in_a_while(
    gpus: Callable[..., Gpus], shard: Callable[..., Shard], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, one = gpus(2**20), shard()
    tries: list[int] = []

    def fail(*_: object, **__: object) -> None:
        tries.append(1)
        raise DeviceFailed("no memory after all")

    with monkeypatch.context() as patched:
        patched.setattr(here.devices[0], "flat", fail)
        for here.time in (0, 1, 59, 60):
            here.reconcile(one)
            assert here.used == [0]
    assert len(tries) == 2
    here.time = 120
    here.reconcile(one)
    assert is_searched_by(here.devices[0], one)


def test_a_device_that_is_lost_holds_nothing_new(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one = gpus(2**20, 2**20), shard()
    here.devices[0].is_broken = True
    assert here.reconcile(one) == []
    assert here.used == [0, FLAT_BYTES]


def test_once_it_is_to_stop_nothing_more_is_copied(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here = gpus(2**20)
    here.holdings.stop()
    here.reconcile(shard())
    assert here.used == [0]


def test_a_large_segment_goes_over_in_parts_and_is_one(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one = gpus(2**20), shard()
    (segment,) = segments(one)
    whole, parts = (load(segment, Form.FLAT, here.owners[0], part_bytes=size) for size in (2**20, 4 * DIM * 300))
    queries = clustered(7, DIM, 1)
    for k in (1, 50, 400):
        by_one, by_parts = (here.owners[0].search(loaded.index, queries, k) for loaded in (whole, parts))
        assert np.array_equal(by_one.rows, by_parts.rows)
        assert np.allclose(by_one.distances, by_parts.distances)
    assert parts.longest == whole.longest > 0
    assert here.used == [2 * FLAT_BYTES]
    for loaded in (whole, parts):
        loaded.close()


def test_of_a_copy_that_fails_half_way_nothing_is_left(gpus: Callable[..., Gpus], shard: Callable[..., Shard]) -> None:
    here, one = gpus(FLAT_BYTES // 2), shard()
    with pytest.raises(DeviceFailed):
        load(segments(one)[0], Form.FLAT, here.owners[0], part_bytes=4 * DIM * 300)
    assert here.used == [0]


def test_nothing_is_left_of_a_device_that_cannot_be_opened(shard: Callable[..., Shard]) -> None:
    def open_device() -> Device:
        raise DeviceFailed("out of order")

    holdings = GpuHoldings([DeviceOwner("twin0", open_device)], None, least_rows=1)
    (refusal,) = holdings.reconcile({(1, 0): segments(shard())})
    assert refusal.free_bytes == 0
    holdings.close()
