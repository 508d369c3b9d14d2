"""Every command in the documents runs, and prints what the documents say it prints."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import scripts
from tests.docs.commands import DOCUMENTS, commands, run
from tests.docs.scripts import LANGUAGES, Language
from tests.jobs.stack import stack
from tests.serving import ROOT, Server, serving

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_REQUEST_ID = re.compile(r'"request_id":"[^"]+"')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("documents")) as running:
        yield running


@pytest.fixture(scope="module")
def with_jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has a worker and a Valkey."""
    with stack(tmp_path_factory.mktemp("pages")) as running:
        yield running.servers[0]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the documents' commands use curl")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands(document: str, server: Server, tmp_path: Path) -> None:
    count = 0
    for command in commands(document):
        output = run(command, tmp_path, server.port)
        assert _text(output) == _text(command.output), command.text
        # The last digits depend on the processor.
        assert _numbers(output) == pytest.approx(_numbers(command.output), rel=1e-9), command.text
        count += 1
    assert count > 4


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.page)
def test_scripts(language: Language, with_jobs: Server, tmp_path: Path) -> None:
    if not language.installed:
        pytest.skip(f"{language.program} is not installed")
    outputs, shown = scripts.run(language, tmp_path, with_jobs.port), scripts.shown(language)
    assert list(map(_text, outputs)) == list(map(_text, shown))
    assert _numbers("\n".join(outputs)) == pytest.approx(_numbers("\n".join(shown)), rel=1e-9)
    assert len(outputs) >= 2


def _text(output: str) -> str:
    return _NUMBER.sub("#", _REQUEST_ID.sub("", output))


def _numbers(output: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(_REQUEST_ID.sub("", output))]


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_readme_names_the_two_commands_first() -> None:
    first, second = re.findall(r"^(make \w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)[:2]
    assert (first, second) == ("make run", "make test")
