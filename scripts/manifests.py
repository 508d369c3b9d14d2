"""Render the chart's defaults into k8s/base, one resource a file, for `kubectl apply -k k8s/`."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
CHART, OUT = ROOT / "helm" / "gpserve", ROOT / "k8s" / "base"
CHECKSUMS = ROOT / "k8s" / "checksums.txt"
HEAD = "# Rendered from helm/gpserve by `make manifests`; edit the chart instead.\n"
# These say that Helm manages the object, which is not so for `kubectl apply`.
HELM_LABEL = re.compile(r"^\s+(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
SOURCE = re.compile(r"^# Source: gpserve/templates/(\S+)\n", re.MULTILINE)


def render(helm: str) -> str:
    """Return the chart's default objects on a cluster that has the custom metrics API."""
    command = [helm, "template", "gpserve", str(CHART), "--skip-tests"]
    command += ["--api-versions", "custom.metrics.k8s.io/v1beta1", "--kube-version", "1.30.0"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def files(rendered: str) -> dict[str, str]:
    """Return the text of every file of k8s/base, by its name."""
    found = {}
    for document in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        if source := SOURCE.search(document):
            found[source[1]] = HEAD + HELM_LABEL.sub("", SOURCE.sub("", document)).strip() + "\n"
    names = "".join(f"  - {name}\n" for name in sorted(found))
    kind = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    return {"kustomization.yaml": f"{HEAD}{kind}resources:\n{names}", **found}


def is_outside_the_package(path: Path) -> bool:
    """Whether a file of the chart's folder has no part in what is rendered."""
    return path.name == "README.md" or path.parent.name == "ci"


def checksums(root: Path) -> str:
    """Return the lines of checksums.txt: the chart's files and what was rendered from them.

    They show a drift where there is no Helm: `sha256sum --check k8s/checksums.txt`.
    """
    chart = [
        path for path in CHART.rglob("*") if path.is_file() and not is_outside_the_package(path)
    ]
    rendered = list(OUT.glob("*.yaml"))
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n"
        for path in sorted(chart + rendered)
    )


def drift(wanted: dict[str, str]) -> list[str]:
    """Return the names of the files in k8s/base that are missing, changed or not rendered."""
    present = {path.name: path.read_text() for path in OUT.glob("*.yaml")}
    names = wanted.keys() | present.keys()
    return sorted(name for name in names if wanted.get(name) != present.get(name))


def write(wanted: dict[str, str]) -> None:
    """Replace k8s/base, and the checksums."""
    for path in OUT.glob("*.yaml"):
        path.unlink()
    for name, text in wanted.items():
        (OUT / name).write_text(text)
    CHECKSUMS.write_text(checksums(ROOT))


@click.command()
@click.option("--helm", default="helm", show_default=True, help="The Helm to render with.")
@click.option("--check", is_flag=True, help="Write nothing; fail when k8s/ has drifted.")
def main(helm: str, check: bool) -> None:
    """Render helm/gpserve into k8s/base."""
    wanted = files(render(helm))
    if not check:
        write(wanted)
    elif drifted := drift(wanted):
        raise click.ClickException(f"k8s/ has drifted ({', '.join(drifted)}): run `make manifests`")


if __name__ == "__main__":
    main()
