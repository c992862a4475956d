"""The stored values, as they lie in the repository: one case a line."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("expected.json")
HANDCRAFTED = Path(__file__).with_name("handcrafted.json")
NETWORK = Path(__file__).with_name("network.json")

# Of one model, or by the names of several.
Digest = str | dict[str, str]


def read(file: Path = FILE) -> dict[str, Any]:
    """Return `digest` (of the models, when the values were stored) and `cases`, by name."""
    return json.loads(file.read_text())


def write(digest: Digest, cases: dict[str, Any], file: Path = FILE) -> None:
    """Store the values."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    file.write_text(f'{{"digest": {json.dumps(digest)}, "cases": {{\n{lines}\n}}}}\n')
