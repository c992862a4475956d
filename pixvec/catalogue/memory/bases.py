"""Base snapshots: shards in the blob store, from which a feed goes on."""

import uuid
from collections.abc import Mapping
from dataclasses import replace

from pixvec.catalogue.bases import (
    BaseContent,
    OpenBase,
    lets_truncate,
    offered,
    refuse_begin,
    refuse_finish,
    refuse_restore,
    retirable,
)
from pixvec.catalogue.memory.state import Store, locked
from pixvec.domain import BaseSnapshot, ShardPosition
from pixvec.errors import CollectionNotFound


class MemoryBaseStore(Store):
    """BaseStore in memory."""

    @locked
    def begin(self, collection_id: int, shard: int, epoch: str) -> OpenBase:
        """Announce a base snapshot. Raises CollectionNotFound, and FailedPrecondition for another epoch."""
        state = self._state
        if not 0 <= shard < len(state.holding(collection_id).shards):
            raise CollectionNotFound(f"collection {collection_id} has no shard {shard}, or was deleted")
        feed = state.feed_standing(collection_id, shard)
        refuse_begin(feed, epoch)
        known = tuple(each for each in offered(state.bases_of(collection_id, shard), feed) if each.is_sound)
        base_id = str(uuid.uuid4())
        state.bases[base_id] = BaseSnapshot(
            base_id, collection_id, shard, epoch, epoch, feed.tombstone_floor, state.now()
        )
        return OpenBase(base_id, collection_id, shard, epoch, known)

    @locked
    def finish(self, base_id: str, content: BaseContent) -> BaseSnapshot:
        """Say that every byte is stored and verified. Raises FailedPrecondition."""
        state = self._state
        opened = state.bases.get(base_id)
        feed = state.feed_standing(opened.collection_id, opened.shard) if opened else None
        refuse_finish(opened, feed, content)
        assert opened is not None
        finished = replace(
            opened,
            seq=content.seq,
            manifest=content.manifest,
            manifest_sha256=content.manifest_sha256,
            image_count=content.image_count,
            size_bytes=content.size_bytes,
            verified_at=state.now(),
        )
        state.bases[base_id] = finished
        return finished

    @locked
    def abandon(self, base_id: str, why: str) -> None:
        """Give up a base that is not finished."""
        found = self._state.bases.get(base_id)
        if found is not None and found.verified_at is None and found.retired_at is None:
            self._state.bases[base_id] = replace(found, retired_at=self._state.now(), damage=why)

    @locked
    def of_collection(self, collection_id: int | None = None) -> list[BaseSnapshot]:
        """Return the verified bases of one collection or of all, the newest first."""
        found = [
            each
            for each in self._state.bases.values()
            if each.verified_at is not None
            and each.retired_at is None
            and collection_id in (None, each.collection_id)
            and not self._state.holdings[each.collection_id].deleted
        ]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

    @locked
    def of_shard(self, collection_id: int, shard: int) -> list[BaseSnapshot]:
        """Return every base whose files may be there, whatever its state."""
        return self._state.bases_of(collection_id, shard)

    @locked
    def note_damage(self, base_id: str, damage: str) -> None:
        """Say what is wrong with the files of a base; nothing, for one that was found right."""
        found = self._state.bases.get(base_id)
        if found is not None and found.verified_at is not None:
            self._state.bases[base_id] = replace(found, damage=damage)

    @locked
    def truncatable(self) -> list[BaseSnapshot]:
        """Return for each shard the newest sound base that its feed may begin at."""
        found = {}
        for each in sorted(self._state.bases.values(), key=lambda each: (each.seq, each.created_at)):
            if lets_truncate(each, self._state.feed_standing(each.collection_id, each.shard)):
                found[each.collection_id, each.shard] = each
        return [found[key] for key in sorted(found)]

    @locked
    def truncate(self, base_id: str) -> bool:
        """Let the feed of the base's shard begin at it, if it still may."""
        found = self._state.bases.get(base_id)
        if found is None or not lets_truncate(found, self._state.feed_standing(found.collection_id, found.shard)):
            return False
        shard = self._state.holdings[found.collection_id].shards[found.shard]
        shard.truncated_seq, shard.tombstone_floor = found.seq, max(shard.tombstone_floor, found.seq)
        return True

    @locked
    def retire(self, keep: int, open_s: float) -> int:
        """Retire what is not kept, and what was begun long ago and not finished."""
        state, latest = self._state, self._state.clock() - open_s
        for each in list(state.bases.values()):
            if each.verified_at is None and each.created_at.timestamp() <= latest:
                self.abandon(each.base_id, "it was not finished in time")
        retired = 0
        for collection_id, shard in {(each.collection_id, each.shard) for each in state.bases.values()}:
            feed = state.feed_standing(collection_id, shard)
            for base_id in retirable(state.bases_of(collection_id, shard), feed, keep):
                state.bases[base_id] = replace(state.bases[base_id], retired_at=state.now())
                retired += 1
        return retired

    @locked
    def retired(self, age_s: float) -> list[BaseSnapshot]:
        """Return those that were retired `age_s` seconds ago or earlier."""
        latest = self._state.clock() - age_s
        bases = self._state.bases.values()
        return [each for each in bases if each.retired_at is not None and each.retired_at.timestamp() <= latest]

    @locked
    def remove(self, base_id: str) -> None:
        """Forget a retired base whose files are gone."""
        found = self._state.bases.get(base_id)
        if found is not None and found.retired_at is not None:
            del self._state.bases[base_id]

    @locked
    def restore(self, collection_id: int, bases: Mapping[int, str]) -> list[ShardPosition]:
        """Renew the epochs of all shards; those named go on from a base. Raises CollectionNotFound, SnapshotNotFound,
        FailedPrecondition."""
        shards = range(len(self._state.holding(collection_id).shards))
        feeds = [self._state.feed_standing(collection_id, number) for number in shards]
        chosen = [self._state.bases.get(bases.get(number, "")) for number in shards]
        for number, (feed, base) in enumerate(zip(feeds, chosen, strict=True)):
            refuse_restore(feed, base, collection_id, number, bases.get(number))
        return [self._renew(collection_id, number, base) for number, base in enumerate(chosen)]

    def _renew(self, collection_id: int, number: int, base: BaseSnapshot | None) -> ShardPosition:
        shard = self._state.holding(collection_id).shards[number]
        shard.epoch = str(uuid.uuid4())
        if base is not None:
            self._state.bases[base.base_id] = replace(base, epoch=shard.epoch, retired_at=None, damage="")
            shard.truncated_seq = base.seq
            shard.tombstone_floor = max(shard.tombstone_floor, base.seq)
            shard.head_seq = max(shard.head_seq, base.seq)
        return ShardPosition(number, shard.epoch, shard.head_seq)
