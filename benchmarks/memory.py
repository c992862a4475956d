"""Resident memory of the whole idle system, as `pixvec status` prints it, with one model loaded and no image."""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Report, arguments
from benchmarks.system import running_system
from benchmarks.weights import random_weights
from pixvec.client import Client

MODEL = "mobilenet_v3_small"


def main() -> None:
    """Run the benchmark."""
    options = arguments(__doc__ or "").parse_args()
    report = Report("memory")
    with TemporaryDirectory() as folder:
        weights = {MODEL: random_weights(MODEL, Path(folder))}
        with running_system(weights=weights) as system, Client(system.address) as client:
            client.create_collection("bench", model=MODEL)
            memory = system.memory_bytes()
    total = sum(memory.values())
    for name, size in memory.items():
        goal = 200 if name == "gateway" or name.startswith("searcher") else None
        report.figure(f"{name}, MB", size / 1e6, at_most=goal)
    report.figure("whole system, MB", total / 1e6, at_most=2500)
    report.ratio("worker over whole system", memory["worker"] / total)
    report.finish(options.json)


if __name__ == "__main__":
    main()
