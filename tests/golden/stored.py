"""The stored values, as they lie in the repository: one case a line."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("expected.json")


def read() -> dict[str, Any]:
    """Return `digest` (of hog-color, when the values were stored) and `cases`, by name."""
    return json.loads(FILE.read_text())


def write(digest: str, cases: dict[str, Any]) -> None:
    """Store the values."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    FILE.write_text(f'{{"digest": "{digest}", "cases": {{\n{lines}\n}}}}\n')
