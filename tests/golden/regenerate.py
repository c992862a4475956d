"""Store what the pipeline gives now: `python -m tests.golden.regenerate`, after a change that was meant.

Vectors of before and after such a change cannot be compared. Raise `DECODE_VERSION` in pixvec/vision/decode.py, or the
extractor's own version, first: the digests of all models concerned then change, and spaces keep the two apart.
"""

from tests.golden import stored
from tests.golden.measure import MODEL, measure
from tests.golden.pictures import files


def main() -> None:
    """Write the values, and say which have moved."""
    before = stored.read() if stored.FILE.exists() else {"digest": "", "cases": {}}
    cases = {name: measure(name, content) for name, content in files().items()}
    moved = [name for name, case in cases.items() if before["cases"].get(name, case) != case]
    stored.write(MODEL.digest, cases)
    print(f"{len(cases)} cases stored; moved: {', '.join(moved) or 'none'}")
    if moved and before["digest"] == MODEL.digest:
        print(
            "They moved under an unchanged digest: raise DECODE_VERSION or the extractor's version, and run this again."
        )


if __name__ == "__main__":
    main()
