"""The panels have data under load; alerts fire only when they should."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.deploy.e2e.cluster import Release, eventually
from tests.deploy.e2e.monitoring import alerts, expressions, prometheus, values


def test_panels_have_data_and_no_alert_fires(
    release: Release, target: Target, reachable: Callable[[], None]
) -> None:
    with prometheus() as client:
        release.install({"autoscaling": {"mode": "none"}, "replicaCount": 1})
        reachable()
        with Traffic(steps([50], 25), target) as traffic:
            eventually("the end of the load", 60, lambda: not traffic.running)
            for expression in expressions():
                assert values(client, expression, release.namespace), expression
        firing = {name for name, query in alerts(release).items() if values(client, query)}
        assert firing == set()


def test_a_missing_release_fires_an_alert(release: Release) -> None:
    text = alerts(Release(release.namespace, "absent"))["GpserveAbsent"]
    with prometheus() as client:
        assert values(client, text)
