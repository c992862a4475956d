"""Writes docs/operations.md, every setting of every process, from pixvec/settings.py and its comments.

Usage: generate_operations.py [FILE]
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SETTINGS = ROOT / "pixvec" / "settings.py"
INTRO = """# Settings

Generated from `pixvec/settings.py` by `make docs`: edit the comments there, not this page. Each process reads its
settings when it starts: the variable, else the file of that name in lower case in the folder that `PIXVEC_SECRETS_DIR`
names, for what is secret. What is missing or wrong ends it with one line for each. `pixvec up` sets what the processes
have to know of each other; anything else it passes on from its own environment.
"""
PROCESSES = {
    "GatewaySettings": "Gateway",
    "SearcherSettings": "Searcher",
    "WorkerSettings": "Worker",
    "SweeperSettings": "Sweeper",
}


class Source:
    """The classes of settings.py, with the comments above their fields."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}

    def fields(self, name: str) -> dict[str, tuple[str, str]]:
        """Return default and meaning by setting, those of the class itself first. Raises ValueError for a setting that
        nothing is said of."""
        found: dict[str, tuple[str, str]] = {}
        node = self._classes.get(name)
        if node is None:
            return found
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                meaning = _described(line.value) or self._comment_above(line.lineno)
                if not meaning:
                    raise ValueError(f"{name}.{line.target.id} has no comment: say above it what it is for")
                found[line.target.id] = (_default(line.value), meaning)
        for base in node.bases:
            found |= {key: value for key, value in self.fields(ast.unparse(base)).items() if key not in found}
        return found

    def _comment_above(self, number: int) -> str:
        words: list[str] = []
        for line in reversed(self._lines[: number - 1]):
            if not line.strip().startswith("#"):
                break
            words.insert(0, line.strip().removeprefix("#").strip())
        return " ".join(words)


def _described(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg == "description":
                return f"{ast.literal_eval(keyword.value)}."
    return ""


def _default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call):
        value = value.args[0] if value.args else None
    if value is None:
        return "must be set"
    text = ast.unparse(value).strip("'")
    return "" if text in ("", "()", "None") else f"`{text}`"


def table(fields: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Describe the settings of one process."""
    yield "| setting | default | |\n|---|---|---|"
    for name, (default, meaning) in fields.items():
        yield f"| `PIXVEC_{name.upper()}` | {default} | {meaning.replace('|', chr(92) + '|')} |"
    yield ""


def render(text: str) -> str:
    """Return the whole page."""
    source = Source(text)
    lines = [INTRO]
    for name, title in PROCESSES.items():
        lines += [f"## {title}\n", *table(source.fields(name))]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "operations.md"
    target.write_text(render(SETTINGS.read_text()))
