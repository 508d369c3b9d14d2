"""Keys from a Secret: a closed service, and a key that is replaced while it serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from tests.deploy.e2e.cluster import Release, eventually
from tests.helpers.stack import bearer, write_keys

POINT = "/predict?lat=-20&long=181&depth=500&stations=30"
VALUES = {
    "replicaCount": 1,
    "autoscaling": {"mode": "none"},
    "access": {"anonymous": "none", "keysSecret": {"name": "keys"}},
}


def give_keys(release: Release, file: Path) -> None:
    """Replace the Secret."""
    release.kubectl("delete", "secret", "keys", "--ignore-not-found")
    release.kubectl("create", "secret", "generic", "keys", f"--from-file=keys.toml={file}")


def test_a_closed_service_follows_its_secret(
    release: Release, http: httpx.Client, reachable: Callable[[], None], tmp_path: Path
) -> None:
    file = write_keys(tmp_path / "keys.toml")
    give_keys(release, file)
    release.install(VALUES)
    reachable()
    assert "Succeeded" in release.helm("test", release.name)
    assert http.get(POINT).status_code == 401
    assert http.get("/healthz").status_code == 200
    assert http.get(POINT, headers=bearer("mine")).status_code == 200
    assert http.get(POINT, headers=bearer("reader")).status_code == 403

    kept = file.read_text().partition("[other]")
    file.write_text(kept[1] + kept[2])
    give_keys(release, file)
    taken_away = lambda: http.get(POINT, headers=bearer("mine")).status_code == 401  # noqa: E731
    eventually("the removed key is refused", 240, taken_away)
    assert http.get(POINT, headers=bearer("other")).status_code == 200
