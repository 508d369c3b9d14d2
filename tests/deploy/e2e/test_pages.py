"""Run the commands on the pages about kind, minikube and managed clusters.

Commands that need kind, minikube, docker or third-party charts are recorded instead of run; the
others run against KUBECONFIG as written, and must print what the page shows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.e2e.cluster import CHART, HELM, IMAGE, ROOT, URL, api_groups, get, kubectl, run
from tests.deploy.e2e.jobs import VALKEY_IMAGE, WORKER_IMAGE

# The Valkey image of this cluster; volumes are off, because the pages do not depend on them.
REPOSITORY, _, TAG = VALKEY_IMAGE.rpartition(":")
VALKEY = f"--set valkey.image.repository={REPOSITORY},valkey.image.tag={TAG}"
VALKEY += " --set valkey.persistence.enabled=false"
PAGES = ROOT / "docs" / "kubernetes"
ABSENT = """#!/bin/sh
echo "${0##*/} $*" >>"$CALLS"
[ "${0##*/} $*" = "minikube ip" ] && echo 127.0.0.1
exit 0
"""
# helm and kubectl are real, except for third-party charts and what those would install.
REAL = """#!/bin/sh
case "$*" in
  *--repo*|*deployment?prometheus-adapter*)
    echo "${0##*/} $*" >>"$CALLS"; exit 0;;
esac
exec "$REAL_%s" "$@"
"""


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a page's console blocks with the output shown below each."""
    for block in re.findall(r"```console\n(.*?)```", (PAGES / page).read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", textwrap.dedent(block), flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip()


def fits(shown: str, printed: str) -> bool:
    """Whether an output matches what the page shows; an ellipsis matches anything."""
    pattern = ".*".join(re.escape(part.strip()) for part in shown.split("…"))
    return bool(re.search(f"^{pattern}$", printed.strip(), re.DOTALL))


@pytest.fixture
def shell(tmp_path: Path, namespace: str) -> dict[str, str]:
    """An environment with stubs for the programs that are recorded, and its own namespace."""
    real = {name: shutil.which(name) or "" for name in ("helm", "kubectl")}
    for name in ("kind", "minikube", "docker"):
        (tmp_path / name).write_text(ABSENT)
    for name in real:
        (tmp_path / name).write_text(REAL % name)
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    config = tmp_path / "config" / "kubeconfig"
    config.parent.mkdir()
    config.write_text(kubectl("config", "view", "--raw", "--flatten"))
    run(
        "kubectl",
        "--kubeconfig",
        config,
        "config",
        "set-context",
        "--current",
        "--namespace",
        namespace,
    )
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {f"REAL_{name}": where for name, where in real.items()}
    calls = {"CALLS": str(tmp_path / "calls"), "KUBECONFIG": str(config)}
    return {**os.environ, "PATH": path, "REGISTRY": "registry.example.org", **own, **calls}


def adapted(command: str, namespace: str) -> str:
    """Return a command adapted to this cluster's ingress and the test's namespace."""
    command = re.sub(r"http://(127\.0\.0\.1:8080|\$\(minikube ip\):30080)", URL, command)
    command = command.replace("namespaces/default/", f"namespaces/{namespace}/")
    command = command.replace("--namespace default", f"--namespace {namespace}")
    command = command.replace("--set jobs.enabled=true", f"--set jobs.enabled=true {VALKEY}")
    if "$(openssl rand" in command:  # a password for an installation without Helm
        command += " --dry-run=client"
    return command.replace("$REGISTRY/gpserve", IMAGE.rpartition(":")[0] + " --set image.tag=dev")


def run_page(page: str, shell: dict[str, str], namespace: str) -> None:
    for command, shown in commands(page):
        done = subprocess.run(
            ["bash", "-c", adapted(command, namespace)],
            cwd=ROOT, env=shell, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert fits(shown, done.stdout.replace(" (dry run)", "")), (
            f"{command}\nprinted\n{done.stdout}\nnot\n{shown}"
        )


def called(shell: dict[str, str]) -> str:
    return Path(shell["CALLS"]).read_text()


@pytest.fixture
def monitoring() -> Iterator[None]:
    """Delete the namespace of prometheus-adapter's rules if the page created it."""
    before = kubectl("get", "namespace", "monitoring", "--ignore-not-found")
    yield
    if not before:
        kubectl("delete", "namespace", "monitoring", "--ignore-not-found", "--wait=false")


@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("page", ["kind.md", "minikube.md"])
def test_a_page_of_a_local_cluster(page: str, shell: dict[str, str], namespace: str) -> None:
    if "keda.sh" not in api_groups():
        pytest.skip("no KEDA in this cluster")
    if IMAGE != "gpserve:dev":
        pytest.skip(f"the page's image is gpserve:dev, not {IMAGE}")
    run_page(page, shell, namespace)
    program = page.removesuffix(".md")
    assert f"{program} " in called(shell)
    assert "helm upgrade --install traefik traefik" in called(shell)
    assert get("--namespace", namespace, "deployments")["items"] == []


def test_the_page_on_scaling(shell: dict[str, str], namespace: str) -> None:
    if IMAGE != "gpserve:dev":
        pytest.skip(f"the page's image is gpserve:dev, not {IMAGE}")
    try:
        run_page("scaling.md", shell, namespace)
    finally:
        run(HELM, "uninstall", "gpserve", "--namespace", namespace, "--ignore-not-found", "--wait")


def test_the_page_on_jobs(shell: dict[str, str], namespace: str) -> None:
    if (IMAGE, WORKER_IMAGE) != ("gpserve:dev", "gpserve:dev-train"):
        pytest.skip(f"the page's images are gpserve:dev and gpserve:dev-train, not {WORKER_IMAGE}")
    try:
        run_page("jobs.md", shell, namespace)
    finally:
        run(HELM, "uninstall", "gpserve", "--namespace", namespace, "--ignore-not-found", "--wait")


def test_the_page_of_managed_clusters(shell: dict[str, str], namespace: str) -> None:
    try:
        run_page("managed.md", shell, namespace)
    finally:
        kubectl("delete", "namespace", "surrogates", "--ignore-not-found", "--wait=false")
    assert "docker push" in called(shell)


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_values_on_the_pages_are_accepted(page: str, namespace: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    for block in blocks:
        command: list[str | Path] = [
            HELM,
            "template",
            "gp",
            CHART,
            "--namespace",
            namespace,
            "--values",
            "-",
        ]
        objects = [each for each in yaml.safe_load_all(run(*command, given=block)) if each]
        there = [each for each in objects if each["apiVersion"].split("/")[0] in api_groups()]
        text = yaml.safe_dump_all(there)
        kubectl("apply", "--dry-run=server", "--namespace", namespace, "-f", "-", given=text)
