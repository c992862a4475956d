"""Store what the pipeline gives now: `python -m tests.golden.regenerate`, after a change that was meant.

Vectors of before and after such a change cannot be compared. Raise `DECODE_VERSION` in pixvec/vision/decode.py, or the
extractor's own version, first: the digests of all models concerned then change, and spaces keep the two apart.
"""

from pathlib import Path
from typing import Any

from tests.golden import handcrafted, network, stored
from tests.golden.measure import MODEL, measure
from tests.golden.pictures import files


def main() -> None:
    """Write the values, and say which have moved."""
    _store(stored.FILE, MODEL.digest, {name: measure(name, content) for name, content in files().items()})
    models = handcrafted.extractors()
    _store(stored.HANDCRAFTED, {name: model.digest for name, model in models.items()}, handcrafted.measure_all(models))
    small = network.network()
    _store(stored.NETWORK, small.digest, dict(network.measure_all(small)))


def _store(file: Path, digest: stored.Digest, cases: dict[str, Any]) -> None:
    before = stored.read(file) if file.exists() else {"digest": "", "cases": {}}
    moved = [name for name, case in cases.items() if before["cases"].get(name, case) != case]
    stored.write(digest, cases, file)
    print(f"{file.name}: {len(cases)} cases stored; moved: {', '.join(moved) or 'none'}")
    if moved and before["digest"] == digest:
        print(
            "They moved under an unchanged digest: raise DECODE_VERSION or the extractor's version, and run this again."
        )


if __name__ == "__main__":
    main()
