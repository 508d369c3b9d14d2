"""Render the chart into k8s/, one file per resource, for `kubectl apply -k k8s/`.

k8s/base has the defaults; k8s/jobs adds the resources for jobs, and patches those that change.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
CHART, OUT = ROOT / "helm" / "gpserve", ROOT / "k8s"
CHECKSUMS = ROOT / "k8s" / "checksums.txt"
FOLDERS = ("base", "jobs")
HEAD = "# Rendered from helm/gpserve by `make manifests`; edit the chart instead.\n"
KIND = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
# The user creates the passwords: files in a repository must not contain any.
WITH_JOBS = (
    "jobs.enabled=true",
    "jobs.tokenSecret.name=gpserve-token",
    "valkey.passwordSecret.name=gpserve-valkey",
)
# These labels say that Helm manages the object, which is wrong for `kubectl apply`.
HELM_LABEL = re.compile(r"^\s+(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
SOURCE = re.compile(r"^# Source: gpserve/templates/(\S+)\n", re.MULTILINE)


def render(helm: str, *settings: str) -> str:
    """Return the chart's objects on a cluster that has the custom metrics API."""
    command = [helm, "template", "gpserve", str(CHART), "--skip-tests"]
    command += ["--api-versions", "custom.metrics.k8s.io/v1beta1", "--kube-version", "1.30.0"]
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def files(rendered: str) -> dict[str, str]:
    """Return the text of every rendered object, by file name."""
    found = {}
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        if source := SOURCE.search(document):
            text = HEAD + HELM_LABEL.sub("", SOURCE.sub("", document)).strip() + "\n"
            found[source[1].replace("/", "-")] = text
    return found


def wanted(helm: str) -> dict[str, str]:
    """Return the text of every file, by its path in k8s/."""
    base, jobs = files(render(helm)), files(render(helm, *WITH_JOBS))
    changed = {name: text for name, text in jobs.items() if base.get(name) != text}
    return {
        **folder("base", base, f"resources:\n{listed(base)}"),
        **folder("jobs", changed, overlay(set(changed) - set(base), set(changed) & set(base))),
    }


def folder(name: str, found: dict[str, str], rest: str) -> dict[str, str]:
    """Return the files of a folder, with its kustomization.yaml."""
    return {f"{name}/{path}": text for path, text in found.items()} | {
        f"{name}/kustomization.yaml": f"{HEAD}{KIND}{rest}"
    }


def overlay(new: set[str], patched: set[str]) -> str:
    """Return the resources and patches of a kustomization that builds on the base."""
    patches = "".join(f"  - path: {name}\n" for name in sorted(patched))
    return f"resources:\n  - ../base\n{listed(new)}patches:\n{patches}"


def listed(names: set[str] | dict[str, str]) -> str:
    """Return the items of a list in a kustomization."""
    return "".join(f"  - {name}\n" for name in sorted(names))


def is_outside_the_package(path: Path) -> bool:
    """Whether a file of the chart has no influence on the rendered manifests."""
    return path.name == "README.md" or path.parent.name == "ci"


def checksums(root: Path) -> str:
    """Return the lines of checksums.txt: the chart's files and those rendered from them.

    `sha256sum --check k8s/checksums.txt` finds a difference without Helm.
    """
    chart = [
        path for path in CHART.rglob("*") if path.is_file() and not is_outside_the_package(path)
    ]
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n"
        for path in sorted([*chart, *present()])
    )


def present() -> list[Path]:
    """Return the rendered files in k8s/."""
    return [path for name in FOLDERS for path in (OUT / name).glob("*.yaml")]


def drift(wanted: dict[str, str]) -> list[str]:
    """Return the paths in k8s/ that are missing, changed or superfluous."""
    existing = {f"{path.parent.name}/{path.name}": path.read_text() for path in present()}
    names = wanted.keys() | existing.keys()
    return sorted(name for name in names if wanted.get(name) != existing.get(name))


def write(wanted: dict[str, str]) -> None:
    """Replace the rendered files and the checksums."""
    for path in present():
        path.unlink()
    for name, text in wanted.items():
        (OUT / name).parent.mkdir(exist_ok=True)
        (OUT / name).write_text(text)
    CHECKSUMS.write_text(checksums(ROOT))


@click.command()
@click.option("--helm", default="helm", show_default=True, help="The Helm that renders the chart.")
@click.option("--check", is_flag=True, help="Write nothing; fail if k8s/ is out of date.")
def main(helm: str, check: bool) -> None:
    """Render helm/gpserve into k8s/base and k8s/jobs."""
    found = wanted(helm)
    if not check:
        write(found)
    elif drifted := drift(found):
        raise click.ClickException(
            f"k8s/ is out of date ({', '.join(drifted)}): run `make manifests`"
        )


if __name__ == "__main__":
    main()
