"""Every command in the documents runs, and prints the output that the documents show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.gpr import native
from tests.docs import scripts
from tests.docs.commands import DOCUMENTS, as_a_clone, commands, run
from tests.docs.scripts import LANGUAGES, Language
from tests.helpers.serving import ROOT
from tests.helpers.stack import stack

_VARIES = re.compile(r'"request_id":"[^"]+"|\d{4}-\d\d-\d\dT[\d:.]+\+00:00')
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?|-?\d+,\d{10,}")
"""With a decimal point, or with a decimal comma and too many digits for two cells of a table."""

_ANSWER = re.compile(r'"(?:mean|variance)":\[?-?\d[-\d.e,]*')
_GRADIENT = re.compile(r'"gradient":\{.*?\}')

_ID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{12})\b")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with a worker and Valkey, as started by `make run`."""
    with stack(tmp_path_factory.mktemp("documents")) as running:
        yield running.servers[0].port


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' commands use curl")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands(document: str, port: int, tmp_path: Path) -> None:
    count, printed, shown = 0, Ids(), Ids()
    as_a_clone(tmp_path)
    for command in commands(document):
        output = run(command.text, tmp_path, port)
        assert printed.text(output) == shown.text(command.output), command.text
        if native.library() is not None:
            assert _answers(output) == _answers(command.output), command.text
        # Other last digits depend on the processor, and so do the scores of a training.
        rel = 0.02 if "rmse" in output.lower() else 1e-9
        assert _numbers(output) == pytest.approx(_numbers(command.output), rel=rel), command.text
        count += 1
    assert count > 4


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.page)
def test_scripts(language: Language, port: int, tmp_path: Path) -> None:
    if not language.installed:
        pytest.skip(f"{language.program} is not installed")
    outputs, shown = scripts.run(language, tmp_path, port), scripts.shown(language)
    assert list(map(Ids().text, outputs)) == list(map(Ids().text, shown))
    assert _numbers("\n".join(outputs)) == pytest.approx(_numbers("\n".join(shown)), rel=1e-9)
    assert len(outputs) >= 2


class Ids:
    """Replaces the ids of jobs and versions, which vary, by numbers in order of appearance."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def text(self, output: str) -> str:
        """Return the output without the parts that vary."""
        return _ID.sub(self._name, _NUMBER.sub("#", _VARIES.sub("", output)))

    def _name(self, found: re.Match[str]) -> str:
        return self._names.setdefault(found[0], f"<{len(self._names)}>")


def _answers(output: str) -> list[str]:
    """Return the means and variances, which have the same bits on every processor."""
    return _ANSWER.findall(_GRADIENT.sub("", output))


def _numbers(output: str) -> list[float]:
    return [float(number.replace(",", ".")) for number in _NUMBER.findall(_VARIES.sub("", output))]


def test_links_between_documents_work() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "helm").rglob("*.md")]
    for document in pages:
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
            path, _, anchor = link.partition("#")
            target = document.parent / path if path else document
            assert target.exists(), f"{document.name}: {link}"
            assert not anchor or anchor in _anchors(target), f"{document.name}: {link}"


def _anchors(page: Path) -> set[str]:
    """Return the names by which links reach a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_names_the_two_commands_first() -> None:
    first, second = re.findall(r"^(make \w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)[:2]
    assert (first, second) == ("make run", "make test")
