"""The same vectors and queries beside other systems: `python -m benchmarks.peers`."""
