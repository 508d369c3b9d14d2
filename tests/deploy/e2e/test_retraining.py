"""The CronJob that trains on a schedule: its Job succeeds, or fails with the reason in its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.deploy.e2e import jobs
from tests.deploy.e2e.cluster import ROOT, Release, eventually, merged

ROWS = (ROOT / "data" / "quakes.csv").read_text()


def values(release: Release) -> dict[str, Any]:
    """Return values with a CronJob that never starts by itself during the test."""
    return merged(
        jobs.values(release),
        {
            "replicaCount": 1,
            "autoscaling": {"mode": "none"},
            "retraining": {
                "enabled": True,
                "schedule": "0 0 1 1 *",
                "table": {"volume": {"configMap": {"name": "table"}}},
                "options": {"target": "mag", "restarts": 1, "inducing": 20},
            },
        },
    )


def give_table(release: Release, rows: str) -> None:
    """Replace the table that the CronJob reads."""
    release.kubectl("delete", "configmap", "table", "--ignore-not-found")
    release.kubectl("create", "configmap", "table", f"--from-literal=table.csv={rows}")


def run_now(release: Release, name: str) -> tuple[str, str]:
    """Start a Job of the CronJob, and return how it ended and what it logged."""
    cronjob = f"--from=cronjob/{release.deployment}-retraining"
    release.kubectl("create", "job", name, cronjob)

    def ended() -> str:
        conditions = release.get("job", name)["status"].get("conditions", [])
        types = {each["type"] for each in conditions} & {"Complete", "Failed"}
        return "".join(types)

    return eventually(f"the end of {name}", 180, ended), release.kubectl("logs", f"job/{name}")


def test_the_cronjob_trains_and_fails_visibly(
    release: Release, http: httpx.Client, reachable: Callable[[], None]
) -> None:
    jobs.make_token(release)
    give_table(release, ROWS)
    release.install(values(release))
    reachable()
    before = http.get("/models").json()["current"]
    ended, log = run_now(release, "good")
    after = http.get("/models").json()["current"]
    assert (ended, after == before) == ("Complete", False), log
    assert after in log

    give_table(release, ROWS.replace("\n", "\nx", 1))
    ended, log = run_now(release, "bad")
    assert ended == "Failed"
    assert "422: line 2: lat is not a number" in log
    assert http.get("/models").json()["current"] == after
