"""docs/benchmarks.md: the latest result of each part, with its conditions."""

from __future__ import annotations

import importlib
from typing import Any

from bench import model, plot, results
from bench.places import DOCS
from bench.tables import table

PARTS = (
    "model",
    "speed",
    "v2",
    "flaskcost",
    "batching",
    "meanwhile",
    "uploads",
    "overload",
    "keys",
    "start",
    "idle",
    "workers",
    "evaluate",
    "client",
    "jobs",
)
PICTURE = "benchmarks.png"

_OPENING = """# Benchmarks

`make bench` measures all of this and writes this page; `make bench-speed` and the like measure one
part, and `bench/bench.mk` lists them. Server and client run on one core each of one machine. Models
are trained by GPy on a function of four inputs; N is the number of training points. Nothing is
tuned: the service runs with its defaults, with metrics, request ids and all headers. *The article's
design* is a Flask application that calls GPy's own `predict`, on gunicorn with sync workers: this
project began with an article that deploys a model in that way."""

_VERSIONS = "Versions"


def write() -> None:
    """Write the page and its plot; sections that were not measured here stay unchanged."""
    page = DOCS / "benchmarks.md"
    before = _sections(page.read_text()) if page.exists() else {}
    sections = [_section(part, before) for part in PARTS]
    sections.append(_versions() or before.get(_VERSIONS, ""))
    text = "\n\n".join([_OPENING, *(section for section in sections if section)])
    page.write_text(text + "\n")
    for part, draw, picture in (
        ("speed", plot.draw, PICTURE),
        ("model", plot.draw_model, model.PICTURE),
    ):
        if result := results.load(part):
            draw(result["measured"], DOCS / picture)


def lines(part: str, measured: Any) -> str:
    """Return one part's result as Markdown."""
    return str(importlib.import_module(f"bench.{part}").markdown(measured))


def _sections(page: str) -> dict[str, str]:
    """Return the page's sections by title."""
    _, *sections = page.split("\n## ")
    return {section.partition("\n")[0]: f"## {section.rstrip()}" for section in sections}


def _section(part: str, before: dict[str, str]) -> str:
    result = results.load(part)
    title = importlib.import_module(f"bench.{part}").TITLE
    if result is None:
        return before.get(title, "")
    conditions = "; ".join(result["conditions"].values())
    return f"## {title}\n\n{lines(part, result['measured'])}\n\n<sub>{conditions}</sub>"


def _versions() -> str:
    """Return a section with the versions of the part that was measured last, or nothing."""
    measured = [result for part in PARTS if (result := results.load(part))]
    if not measured:
        return ""
    latest = max(measured, key=lambda result: str(result["conditions"]["date"]))
    rows = [[side, versions] for side, versions in latest["versions"].items()]
    return f"## {_VERSIONS}\n\n{table(['side', 'versions'], rows)}"
