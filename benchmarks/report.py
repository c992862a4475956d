"""What every benchmark prints and writes."""

import argparse
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass
class Report:
    """Ratios measured in one run, the goals they are held against, and the figures behind them."""

    benchmark: str
    ratios: dict[str, float] = field(default_factory=dict)
    goals: dict[str, dict[str, float]] = field(default_factory=dict)
    figures: dict[str, float | str] = field(default_factory=dict)

    def ratio(self, name: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """Record a ratio and, where there is one, its goal."""
        self.ratios[name] = value
        self._goal(name, at_least, at_most)

    def figure(
        self, name: str, value: float | str, *, at_least: float | None = None, at_most: float | None = None
    ) -> None:
        """Record a measured figure and, where there is one, its goal."""
        self.figures[name] = value
        self._goal(name, at_least, at_most)

    def _goal(self, name: str, at_least: float | None, at_most: float | None) -> None:
        bounds = {"min": at_least, "max": at_most}
        if goal := {bound: value for bound, value in bounds.items() if value is not None}:
            self.goals[name] = goal

    def finish(self, json_file: Path | None) -> None:
        """Print the table, and write the JSON when a file is named."""
        Console(width=110).print(self._table())
        if json_file:
            document = {
                "benchmark": self.benchmark,
                "machine": machine(),
                "ratios": self.ratios,
                "goals": self.goals,
                "figures": self.figures,
            }
            json_file.write_text(json.dumps(document, indent=2) + "\n")

    def _table(self) -> Table:
        table = Table("", "measured", "goal", "", title=f"{self.benchmark} on {machine()}", title_justify="left")
        for name, value in {**self.ratios, **self.figures}.items():
            shown = value if isinstance(value, str) else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
            goal, verdict = self._verdict(name, value)
            table.add_row(name, shown, goal, verdict)
        return table

    def _verdict(self, name: str, value: float | str) -> tuple[str, str]:
        if name not in self.goals or isinstance(value, str):
            return "", ""
        (bound, limit), *_ = self.goals[name].items()
        met = value >= limit if bound == "min" else value <= limit
        return f"{'≥' if bound == 'min' else '≤'} {limit:g}", "met" if met else "MISSED"


def machine() -> str:
    """Return the processor, the number of cores and the memory, for people."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory_gib:.0f} GiB"


def arguments(description: str) -> argparse.ArgumentParser:
    """Return the parser that every benchmark starts from."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    return parser
