"""docs/accuracy.md and the exit code of `python -m verify`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from verify import __main__ as command
from verify import report
from verify.report import Section


def section(value: float) -> Section:
    made = Section("Numbers", "All of them.", ["what", "error"])
    made.rows.append(["pi", made.check("pi", value, 1e-9)])
    return made


def test_the_page() -> None:
    page = report.markdown([section(1e-12), section(2e-9), section(float("nan"))], 90.0)
    assert "| what | error |\n| --- | --- |\n| pi | 1.0e-12 |" in page
    assert "- Numbers: pi: 2e-09 exceeds the limit 1e-09" in page
    assert "**2.0e-09**" in page
    assert "**nan**" in page
    assert "All hold." in report.markdown([section(1e-12)], 90.0)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The parts of the command, to be filled; the page goes to a folder of its own."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(command, "parts", lambda: list(found))
    monkeypatch.setattr(command, "_module", lambda name: SimpleNamespace(sections=found[name]))
    monkeypatch.setattr(report, "PAGE", tmp_path / "accuracy.md")
    return found


def test_exit_codes(parts: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    parts["good"] = lambda: [section(0.0)]
    assert command.main([]) == 0
    assert "All hold." in report.PAGE.read_text()
    parts["bad"] = lambda: [section(1.0)]
    assert command.main(["good"]) == 0
    assert command.main([]) == 1
    assert "Beyond their limits" in report.PAGE.read_text()
    parts["broken"] = lambda: 1 / 0
    assert command.main(["broken"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert command.main(["nothing"]) == 2


def test_all_parts_are_found() -> None:
    named = {"kernels", "sparse", "coordinates", "draws", "leaveoneout", "toolkits", "training"}
    assert named | {"oldfiles"} <= set(command.parts())
    assert not {"report", "comparison", "pages", "__main__"} & set(command.parts())
