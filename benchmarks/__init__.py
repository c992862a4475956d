"""Benchmarks: each module measures ratios within one run. `python -m benchmarks.NAME [--quick] [--json FILE]`."""

import os

# As the product's processes have it, and before any library reads it: threads that spin while they wait take the
# processor from those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Before gRPC is loaded: see there.
import pixvec.embedded.process  # noqa: F401
