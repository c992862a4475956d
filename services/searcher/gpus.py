"""Keeps the GPUs of this machine in line with the shards that are held here."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Literal

from pixvec.index.gpu_faiss import FaissGpu, gpu_count
from pixvec.index.gpu_holdings import GpuHoldings
from pixvec.index.gpu_owner import DeviceOwner
from pixvec.index.gpu_placement import NeedKey, Refusal
from pixvec.index.sealed import SealedSegment
from pixvec.rpc.blocking import BlockingCalls
from pixvec.telemetry.logging import get_logger
from services.searcher.gpu_probe import why_unusable
from services.searcher.held_shard import HeldShard
from services.searcher.shard_host import ShardHost

log = get_logger(__name__)


class Gpus:
    """`threads` has one thread. `open_holdings` returns None where there is no GPU; called when there is a segment, as
    it loads FAISS."""

    def __init__(
        self, host: ShardHost, threads: BlockingCalls, open_holdings: Callable[[], GpuHoldings | None]
    ) -> None:
        self._host = host
        self._threads = threads
        self._open_holdings = open_holdings
        self._holdings: GpuHoldings | None = None
        self._refused: set[NeedKey] = set()

    async def run(self, interval_s: float) -> None:
        """Look over and over, until cancelled or until it turns out that there is no GPU."""
        is_wanted = await self.update()
        while is_wanted:
            await asyncio.sleep(interval_s)
            is_wanted = await self.update()

    async def update(self) -> bool:
        """Copy what is new to the GPUs and take off what is gone. Return False where there is no GPU."""
        shards = {held.key: _segments(held) for held in self._host}
        if self._holdings is None and not any(shards.values()):
            return True
        holdings = self._holdings or await self._threads.run(self._open)
        if holdings is None:
            return False
        self._tell(await self._threads.run(holdings.reconcile, shards))
        return True

    def close(self) -> None:
        """Give the GPUs up, after what is being copied."""
        if self._holdings is not None:
            self._holdings.stop()
        self._threads.close()
        if self._holdings is not None:
            self._holdings.close()

    def _open(self) -> GpuHoldings | None:
        # Here, not where it is waited for: that may be cancelled meanwhile.
        self._holdings = self._open_holdings()
        return self._holdings

    def _tell(self, refusals: Sequence[Refusal]) -> None:
        """Say once of each shard that it stays on the CPU, and what it would take."""
        refused = {refusal.need.key: refusal for refusal in refusals}
        for key in refused.keys() - self._refused:
            held, purpose = self._host.get(key[0]), key[1]
            if held is None:
                continue
            need, free_bytes = refused[key]
            log.warning(
                "gpu_refused",
                collection=held.collection.name,
                shard=held.shard,
                purpose=purpose,
                needed_bytes=need.size_bytes,
                free_bytes=free_bytes,
                arithmetic=need.arithmetic,
                note="the CPU searches it",
            )
        self._refused = set(refused)


def open_gpus(limit_bytes: int, wanted: Literal["auto", "off"]) -> GpuHoldings | None:
    """Return the GPUs that FAISS finds and that work, or None; `limit_bytes` of each may be taken, half of what is free
    for 0."""
    if wanted == "off":
        return None
    usable = [number for number in range(gpu_count()) if _is_usable(number)]
    log.info("gpus_found", count=len(usable))
    if not usable:
        return None
    owners = [DeviceOwner(f"gpu{number}", functools.partial(FaissGpu, number)) for number in usable]
    return GpuHoldings(owners, limit_bytes or None)


def _is_usable(number: int) -> bool:
    why_not = why_unusable(number)
    if why_not:
        log.error("gpu_unusable", device=f"gpu{number}", error=why_not)
    return not why_not


def _segments(held: HeldShard) -> list[SealedSegment]:
    return [view.segment for space in held.index.view.spaces.values() for view in space.sealed]
