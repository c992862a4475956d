"""How soon after a worker's commit a picture is found.

The commit is taken to be the start of the transaction that wrote the image (`images.updated_at`, the database's clock
on the same machine), which is a little before the commit itself: the figures err on the slow side.
"""

import statistics
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.pictures import load_pictures
from benchmarks.report import Report, arguments
from benchmarks.system import running_system
from benchmarks.weights import random_weights
from pixvec.client import Client
from pixvec.errors import ImageNotFound

MODEL = "mobilenet_v3_small"


def found_at(client: Client, image_id: str, limit_s: float = 30.0) -> float:
    """Search by the image's id, over and over, until it is there; return the time of the answer."""
    give_up = time.time() + limit_s
    while time.time() < give_up:
        try:
            client.search("bench", image_id=image_id, limit=1, consistency="eventual")
        except ImageNotFound:
            continue
        return time.time()
    raise SystemExit(f"The run is void: {image_id} was not found within {limit_s} s.")


def freshness(client: Client, image_id: str, content: bytes) -> float:
    """Ingest one picture; return the seconds from its commit to the first answer that holds it."""
    ingest = threading.Thread(target=lambda: client.ingest("bench", [(image_id, content)]).wait())
    ingest.start()
    found = found_at(client, image_id)
    ingest.join()
    return found - client.get_image("bench", image_id).updated_at.timestamp()


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "")
    options = parser.parse_args()
    report = Report("freshness")
    pictures = load_pictures(None, 20 if options.quick else 100)
    with TemporaryDirectory() as folder:
        file = random_weights(MODEL, Path(folder))
        with running_system(weights={MODEL: file}) as system, Client(system.address) as client:
            client.create_collection("bench", model=MODEL)
            client.ingest("bench", [("warm-up", pictures[0])]).wait()
            seconds = [freshness(client, f"{number}", content) for number, content in enumerate(pictures)]
    p50, p95 = statistics.median(seconds) * 1e3, sorted(seconds)[int(0.95 * len(seconds))] * 1e3
    report.figure("commit to found, p50, ms", p50, at_most=50)
    report.figure("commit to found, p95, ms", p95)
    report.ratio("commit to found, p95 over p50", p95 / p50)
    report.finish(options.json)


if __name__ == "__main__":
    main()
