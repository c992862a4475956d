"""Benchmarks: each module measures ratios within one run. `python -m benchmarks.NAME [--quick] [--json FILE]`."""

# Before gRPC is loaded: see there.
import pixvec.embedded.process  # noqa: F401
