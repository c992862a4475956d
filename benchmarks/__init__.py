"""Benchmarks: each module measures ratios within one run. `python -m benchmarks.NAME [--quick] [--json FILE]`."""
