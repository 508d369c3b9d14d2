"""Compute all parts and write docs/accuracy.md: `python -m verify`.

`python -m verify kernels draws` computes and prints some of them. Exits with 1 when a value is
beyond its limit, or a part did not run.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from verify import report
from verify.report import Section

ORDER = ("tables", "kernels", "sparse", "coordinates", "draws", "leaveoneout", "toolkits")
"""The first sections of the page; other parts follow by name."""


def parts() -> list[str]:
    """Return the names of the modules that are parts, without importing any."""
    files = Path(__file__).parent.glob("*.py")
    found = [file.stem for file in files if "\ndef sections(" in file.read_text()]
    return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else 99, name))


def _module(name: str) -> object:
    return importlib.import_module(f"verify.{name}")


def computed(name: str) -> list[Section]:
    """Return the sections of a part; of one that raises an error, a section that says so."""
    print(f"{name} …", flush=True)
    try:
        sections: list[Section] = _module(name).sections()  # type: ignore[attr-defined]
    except Exception as error:
        traceback.print_exc()
        sections = [Section(name, "This part did not run.", ["error"], [[str(error)]])]
        sections[0].failures.append(f"{type(error).__name__}: {error}")
    for failure in (failure for section in sections for failure in section.failures):
        print(f"  {failure}", flush=True)
    return sections


def main(names: Sequence[str]) -> int:
    """Compute these parts, or all of them; return the exit code."""
    unknown = set(names) - set(parts())
    if unknown:
        print(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts())}")
        return 2
    start = time.monotonic()
    sections = [section for name in names or parts() for section in computed(name)]
    if names:
        print(report.markdown(sections, time.monotonic() - start))
    else:
        report.write(sections, time.monotonic() - start)
    return 1 if any(section.failures for section in sections) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
