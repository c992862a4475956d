"""What the sweeper asks for: work that has gone silent, jobs that nobody comes back to."""

from collections.abc import Sequence

from pixvec.catalogue.interfaces import ChunkRef
from pixvec.catalogue.memory.ending import ended_at
from pixvec.catalogue.memory.leases import MemoryLeases
from pixvec.catalogue.memory.state import locked


class MemoryUpkeep(MemoryLeases):
    """The part of JobStore that keeps work from being forgotten, and jobs from being kept for ever."""

    @locked
    def count_open_items(self) -> int:
        """Return how many items of all jobs await work, for pushing back on writers."""
        return sum(len(chunk.open_items) for job in self._state.jobs.values() for chunk in job.chunks)

    @locked
    def mark_published(self, refs: Sequence[ChunkRef]) -> None:
        """Note that a queue message was just sent for these chunks."""
        for ref in refs:
            chunk = self._chunk(ref)
            if chunk is not None:
                chunk.published_at = self._state.clock()

    @locked
    def unattended(self, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return chunks with open items, no live lease and no message sent for `silent_s` seconds, the oldest first."""
        return self._silent(silent_s)[:limit]

    @locked
    def deserted(self, silent_s: float, limit: int) -> list[ChunkRef]:
        """Return those chunks of `unattended` whose lease has expired, or that came of giving up an original."""
        jobs = self._state.jobs
        return [ref for ref in self._silent(silent_s) if jobs[ref.job_id].chunks[ref.chunk].expires > 0][:limit]

    def _silent(self, silent_s: float) -> list[ChunkRef]:
        latest = self._state.clock() - silent_s
        silent = [
            (chunk.published_at, job.job_id, number)
            for job in self._state.jobs.values()
            for number, chunk in enumerate(job.chunks)
            if self._is_free(chunk) and chunk.published_at <= latest
        ]
        return [ChunkRef(job_id, number) for _, job_id, number in sorted(silent)]

    @locked
    def unplanned(self, silent_s: float, limit: int) -> list[str]:
        """Return ids of jobs still PLANNING that nobody added to or touched for `silent_s` seconds."""
        latest = self._state.clock() - silent_s
        planning = (job for job in self._state.jobs.values() if job.uri_prefix and job.closed_at is None)
        silent = sorted((job.active_at, job.job_id) for job in planning if job.active_at <= latest)
        return [job_id for _, job_id in silent[:limit]]

    @locked
    def touch(self, job_ids: Sequence[str]) -> None:
        """Note that these jobs are being looked after."""
        for job_id in job_ids:
            job = self._state.jobs.get(job_id)
            if job is not None and job.closed_at is None:
                job.active_at = self._state.clock()

    @locked
    def close_abandoned(self, silent_s: float, limit: int) -> list[str]:
        """Close streaming jobs without open items that nobody added to or touched for `silent_s` seconds."""
        latest = self._state.clock() - silent_s
        open_jobs = (job for job in self._state.jobs.values() if job.closed_at is None)
        streaming = (job for job in open_jobs if not job.uri_prefix and job.training is None)
        silent = [job for job in streaming if job.active_at <= latest and not any(c.open_items for c in job.chunks)]
        abandoned = sorted(silent, key=lambda job: job.active_at)[:limit]
        for job in abandoned:
            job.closed_at = self._state.now()
        return [job.job_id for job in abandoned]

    @locked
    def prune(self, age_s: float, limit: int) -> int:
        """Remove up to `limit` jobs that ended `age_s` seconds ago or earlier. Return how many were removed."""
        latest = self._state.clock() - age_s
        ends = {job.job_id: ended_at(job) for job in self._state.jobs.values()}
        old = [job_id for job_id, end in ends.items() if end is not None and end.timestamp() <= latest][:limit]
        for job_id in old:
            del self._state.jobs[job_id]
        return len(old)
