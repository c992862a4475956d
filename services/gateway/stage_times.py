"""Where the time of queries goes, for the metrics."""

from pixvec.telemetry.metrics import QUERY_STAGE_SECONDS
from services.gateway.query import STAGES, Timings


class StageTimes:
    """Of one kind of call, such as Query."""

    def __init__(self, call: str) -> None:
        self._stages = [(stage, QUERY_STAGE_SECONDS.labels(call, stage)) for stage in STAGES]

    def observe(self, timings: Timings, *, embedded: bool) -> None:
        """Note one answer. A stage that took no time was none of it, unless pictures were `embedded`."""
        for stage, series in self._stages:
            seconds = getattr(timings, stage)
            if seconds or embedded:
                series.observe(seconds)
