import asyncio

import pytest

from pixvec.errors import CollectionNotFound, DatabaseUnavailable
from services.gateway.cache import RefreshingCache
from tests.in_loop import in_loop


class Source:
    """What the cache loads from: answers that can be held back or made to fail."""

    def __init__(self):
        self.value = "first"
        self.error = None
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.now = 0.0

    async def load(self, key):
        self.loads += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return self.value

    def cache(self):
        return RefreshingCache(self.load, fresh_s=0.5, valid_s=1.0, patience_s=0.25, clock=lambda: self.now)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


@in_loop
async def test_a_young_value_is_served_without_loading():
    source = Source()
    cache = source.cache()
    assert await cache.get("a") == "first"
    source.now = 0.49
    assert await cache.get("a") == "first"
    assert source.loads == 1


@in_loop
async def test_steady_traffic_gets_new_values_without_waiting():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.now, source.value = 0.6, "second"
    assert await cache.get("a") == "first"
    await settle()
    assert await cache.get("a") == "second"


@in_loop
async def test_an_old_value_is_not_served_while_a_new_one_can_be_had():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.now, source.value = 60, "second"
    assert await cache.get("a") == "second"


@in_loop
async def test_callers_together_load_once():
    source = Source()
    source.gate.clear()
    cache = source.cache()
    waiting = [asyncio.ensure_future(cache.get("a")) for _ in range(5)]
    await settle()
    source.gate.set()
    assert await asyncio.gather(*waiting) == ["first"] * 5
    assert source.loads == 1


@in_loop
async def test_what_is_known_outlives_the_database():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.error = DatabaseUnavailable("down")
    for source.now in (60, 120, 3600):
        assert await cache.get("a") == "first"


@in_loop
async def test_nothing_known_is_an_error():
    source = Source()
    source.error = DatabaseUnavailable("down")
    with pytest.raises(DatabaseUnavailable):
        await source.cache().get("a")


@in_loop
async def test_a_load_that_hangs_holds_up_nobody_for_long():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.gate.clear()
    source.now = 60
    assert await cache.get("a") == "first"
    source.now = 61
    assert await asyncio.wait_for(cache.get("a"), 10) == "first"
    assert source.loads == 2
    source.gate.set()
    await settle()


@in_loop
async def test_what_is_gone_is_not_kept():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.now, source.error = 60, CollectionNotFound("gone")
    with pytest.raises(CollectionNotFound):
        await cache.get("a")
    source.error, source.value = None, "made anew"
    assert await cache.get("a") == "made anew"


@in_loop
async def test_a_load_under_way_does_not_bring_back_what_was_forgotten():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.gate.clear()
    source.now = 0.6
    await cache.get("a")
    cache.forget("a")
    source.gate.set()
    await settle()
    source.error = CollectionNotFound("deleted")
    with pytest.raises(CollectionNotFound):
        await cache.get("a")


@in_loop
async def test_a_caller_that_goes_away_takes_no_load_with_it():
    source = Source()
    source.gate.clear()
    cache = source.cache()
    first, second = (asyncio.ensure_future(cache.get("a")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    source.gate.set()
    assert await second == "first"


@in_loop
async def test_a_refresh_asks_again_at_once():
    source = Source()
    cache = source.cache()
    await cache.get("a")
    source.value = "second"
    assert await cache.refreshed("a") == "second"
