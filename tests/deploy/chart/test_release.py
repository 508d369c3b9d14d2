"""What a release relies on: a single version, and workflows that refer to existing things."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__

ROOT = Path(__file__).parents[3]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
JOBS = {
    f"{workflow}/{name}": job
    for workflow, content in WORKFLOWS.items()
    for name, job in content["jobs"].items()
}
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = job.get("steps", [])
    return found


def actions(name: str) -> Iterator[str]:
    """Yield the actions of a job, with their versions."""
    return (step["uses"] for step in steps(JOBS[name]) if "uses" in step)


def scripts() -> Iterator[str]:
    """Yield every shell command that the workflows, the hooks and CI run."""
    yield from (step["run"] for job in JOBS.values() for step in steps(job) if "run" in step)
    yield from (hook["entry"] for hook in HOOKS)
    yield (ROOT / ".ci" / "run").read_text()


def step_of(job: str, identity: str) -> str:
    """Return the script of the step with this id or name."""
    (found,) = [
        each["run"] for each in steps(JOBS[job]) if identity in (each.get("id"), each.get("name"))
    ]
    assert isinstance(found, str)
    return found


def test_an_installed_package_has_every_folder() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert found == {"find": {"include": ["service*"], "namespaces": False}}
    for folder in {path.parent for path in (ROOT / "service").rglob("*.py")}:
        assert (folder / "__init__.py").exists(), f"{folder} is not a package"


def test_the_version_is_the_same_everywhere() -> None:
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text())
    chart = yaml.safe_load((ROOT / "helm" / "gpserve" / "Chart.yaml").read_text())
    guide = (ROOT / "docs" / "kubernetes" / "managed.md").read_text()
    released = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert {
        "client": client["project"]["version"],
        "chart": chart["version"],
        "image": chart["appVersion"],
        "docs": "/".join(sorted(set(re.findall(r"/gpserve:([\d.]+)", guide)))),
        "changelog": released[0],
    } == dict.fromkeys(("client", "chart", "image", "docs", "changelog"), __version__)


def test_the_package_reads_its_version_from_the_code() -> None:
    service = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert service["project"]["dynamic"] == ["version"]
    assert service["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "service.__version__"}


def test_every_make_target_exists() -> None:
    files = ("Makefile", "helm/kubernetes.mk", "bench/bench.mk")
    text = "\n".join((ROOT / file).read_text() for file in files)
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE))
    used = {
        target
        for script in scripts()
        for target in re.findall(r"(?:^|\(|\s)make (?:--\S+ )*([a-z][a-z0-9-]*)", script)
    }
    assert {"lint", "test", "e2e-smoke", "version", "quick-tests", "check"} <= used
    assert used <= targets


@pytest.mark.parametrize("name", JOBS)
def test_a_job_needs_jobs_that_exist(name: str) -> None:
    workflow = name.partition("/")[0]
    needs = JOBS[name].get("needs", [])
    assert {needs} if isinstance(needs, str) else set(needs) <= WORKFLOWS[workflow]["jobs"].keys()
    if "uses" in JOBS[name]:
        assert (ROOT / JOBS[name]["uses"]).is_file()


@pytest.mark.parametrize("name", JOBS)
def test_actions_are_pinned_to_a_commit(name: str) -> None:
    publishing = "pypa/gh-action-pypi-publish@release/v1"  # its documentation recommends the branch
    pins = [action for action in actions(name) if action != publishing]
    assert [pin for pin in pins if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", pin)] == []


def test_every_action_has_one_version() -> None:
    pins = {action for name in JOBS for action in actions(name)}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


@pytest.mark.parametrize("name", JOBS)
def test_a_job_declares_its_permissions(name: str) -> None:
    """Only jobs that publish may write, and none may write by default."""
    assert WORKFLOWS[name.partition("/")[0]]["permissions"] == {"contents": "read"}
    if "write" in JOBS[name].get("permissions", {}).values():
        assert name.startswith("release/")


def test_both_images_are_build_stages_with_the_charts_tags() -> None:
    images = JOBS["release/images"]["strategy"]["matrix"]["include"]
    stages = re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {image["target"] for image in images} <= set(stages)
    worker = (ROOT / "helm" / "gpserve" / "templates" / "_jobs.tpl").read_text()
    suffixes = {image["target"]: image["suffix"] for image in images}
    assert suffixes == {"serve": "", "train": re.findall(r'\$tag := printf "%s(.+?)"', worker)[0]}


@pytest.mark.parametrize("path", ["helm/gpserve", "client", "requirements/dev.txt", ".ci/run"])
def test_paths_in_the_workflows_exist(path: str) -> None:
    text = "".join(file.read_text() for file in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert re.search(rf"(^|\s){re.escape(path)}(\s|$)", text)
    assert (ROOT / path).exists()


@pytest.mark.parametrize("tag", [f"v{__version__}", "v99.0.0", __version__])
def test_only_the_tag_of_this_version_is_released(tag: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    given = {
        "GITHUB_REF_NAME": tag,
        "GITHUB_REPOSITORY_OWNER": "Some-Lab",
        "GITHUB_OUTPUT": str(output),
    }
    done = run(step_of("release/version", "version"), ROOT, given)
    if tag == f"v{__version__}":
        assert done.returncode == 0, done.stderr
        assert output.read_text() == f"version={__version__}\nowner=some-lab\n"
    else:
        assert done.returncode != 0
        assert not output.exists()


def test_the_release_notes_are_the_changelog_section(tmp_path: Path) -> None:
    (tmp_path / "gh").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.3] - 2026-01-02\n\n- now\n\n"
        "## [1.2.2] - 2026-01-01\n\n- before\n"
    )
    given = {
        "VERSION": "1.2.3",
        "GITHUB_REF_NAME": "v1.2.3",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    done = run(step_of("release/notes", "Publish the section of CHANGELOG.md"), tmp_path, given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.md").read_text().strip() == "- now"


def run(script: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub's runner does."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_hooks_run_the_locked_development_tools() -> None:
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    tools = {tool for hook in HOOKS for tool in re.findall(r"^\.venv/bin/([\w-]+)", hook["entry"])}
    assert {"ruff", "mypy", "codespell"} <= tools
    assert [tool for tool in tools if f"\n{tool}==" not in lock] == []
