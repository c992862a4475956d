"""What lies on the devices: brought in line with the shards that are held, again and again."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pixvec.domain import ShardKey
from pixvec.index.gpu import DeviceFailed
from pixvec.index.gpu_loading import Loaded, load
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_placement import NeedKey, Part, Refusal, needs_of, place
from pixvec.index.gpu_search import DeviceSearch
from pixvec.index.gpu_sizes import Form
from pixvec.index.sealed import SealedSegment
from pixvec.telemetry.logging import get_logger
from pixvec.telemetry.metrics import GPU_BYTES

log = get_logger(__name__)

# Smaller segments are searched by the CPU in less time than a GPU takes to answer at all.
_LEAST_ROWS = 10_000
# What could not be copied, or failed in a search, is tried again after so long.
_RETRY_S = 60.0

_PartKey: TypeAlias = tuple[str, Form]


@dataclass(frozen=True, slots=True)
class _Held:
    """A segment on a device, in one form."""

    need: NeedKey
    device: int
    part: Part
    loaded: Loaded


class GpuHoldings:
    """One thread at a time calls it; searches go on beside it. `limit_bytes`: what may be taken of each device; None:
    half of what is free now."""

    def __init__(
        self,
        owners: Sequence[DeviceOwner],
        limit_bytes: int | None,
        *,
        least_rows: int = _LEAST_ROWS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owners = owners
        self._least_rows = least_rows
        self._clock = clock
        self._limits = [_free_bytes(owner) // 2 if limit_bytes is None else limit_bytes for owner in owners]
        self._held: dict[_PartKey, _Held] = {}
        self._not_before: dict[_PartKey, float] = {}
        self._is_stopping = False

    def reconcile(self, shards: Mapping[ShardKey, Iterable[SealedSegment]]) -> list[Refusal]:
        """Have those segments on the devices that these shards are made of, as far as there is room; return what the
        CPU is left with."""
        needs = [need for shard, segments in shards.items() for need in needs_of(shard, segments, self._least_rows)]
        placement = place(needs, self._rooms(), {held.need: held.device for held in self._held.values()})
        wanted = {(part.segment.seal.name, part.form): (need, part) for need in needs for part in need.parts}
        for key, held in list(self._held.items()):
            if held.loaded.has_failed or key not in wanted or placement.devices.get(held.need) != held.device:
                self._unload(key, held)
        for key, (need, part) in wanted.items():
            device = placement.devices.get(need.key)
            if device is not None and key not in self._held and self._is_due(key):
                self._load(key, need.key, device, part)
        self._not_before = {key: moment for key, moment in self._not_before.items() if key in wanted}
        self._measure()
        return placement.refusals

    def stop(self) -> None:
        """Copy no more segments than the one under way. Any thread may call it."""
        self._is_stopping = True

    def close(self) -> None:
        """Take everything off the devices and give them up."""
        for key, held in list(self._held.items()):
            self._unload(key, held)
        for owner in self._owners:
            owner.close()

    def _load(self, key: _PartKey, need: NeedKey, device: int, part: Part) -> None:
        segment, form, share = part
        begun = self._clock()
        try:
            loaded = load(segment, form, self._owners[device])
        except DeviceFailed as error:
            self._put_off(key)
            log.warning("gpu_load_failed", segment=segment.seal.name, form=form, error=str(error))
            return
        self._held[key] = _Held(need, device, part, loaded)
        search = segment.gpu if isinstance(segment.gpu, DeviceSearch) else DeviceSearch(segment)
        search.loaded[form] = loaded
        segment.gpu = search
        seconds = round(self._clock() - begun, 3)
        log.info("gpu_loaded", segment=segment.seal.name, form=form, size_bytes=share.size_bytes, seconds=seconds)

    def _unload(self, key: _PartKey, held: _Held) -> None:
        segment, form, _ = held.part
        if isinstance(segment.gpu, DeviceSearch):
            segment.gpu.loaded.pop(form, None)
            segment.gpu = segment.gpu if segment.gpu.loaded else None
        if held.loaded.has_failed:
            self._put_off(key)
        del self._held[key]
        try:
            held.loaded.close()
        except DeviceFailed as error:
            log.warning("gpu_unload_failed", segment=segment.seal.name, form=form, error=str(error))
            return
        log.info("gpu_unloaded", segment=segment.seal.name, form=form)

    def _is_due(self, key: _PartKey) -> bool:
        return not self._is_stopping and self._clock() >= self._not_before.get(key, 0.0)

    def _put_off(self, key: _PartKey) -> None:
        self._not_before[key] = self._clock() + _RETRY_S

    def _rooms(self) -> list[int]:
        """Return what each device has for what is held and what is not: its limit, or less where others take it."""
        used = self._used()
        free = [_free_bytes(owner) for owner in self._owners]
        return [min(limit, mine + rest) for limit, mine, rest in zip(self._limits, used, free, strict=True)]

    def _used(self) -> list[int]:
        used = [0] * len(self._owners)
        for held in self._held.values():
            used[held.device] += held.part.share.size_bytes
        return used

    def _measure(self) -> None:
        for owner, used in zip(self._owners, self._used(), strict=True):
            GPU_BYTES.labels(owner.name).set(used)


def _free_bytes(owner: DeviceOwner) -> int:
    try:
        return owner.run(lambda device: device.free_bytes())
    except DeviceFailed as error:
        log.warning("gpu_lost", device=owner.name, error=str(error))
        return 0
