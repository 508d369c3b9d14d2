"""The panels show something under load; alerts fire when they should, and only then."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.shapes import steps
from loadtest.target import Target
from loadtest.traffic import Traffic
from tests.deploy.e2e.cluster import Release, eventually
from tests.deploy.e2e.monitoring import alerts, expressions, prometheus, values


def test_panels_show_something_and_no_alert_fires(
    release: Release, target: Target, reachable: Callable[[], None]
) -> None:
    with prometheus() as asked:
        release.install({"autoscaling": {"mode": "none"}, "replicaCount": 1})
        reachable()
        with Traffic(steps([50], 25), target) as traffic:
            eventually("the end of the load", 60, lambda: not traffic.running)
            for expression in expressions():
                assert values(asked, expression, release.namespace), expression
        firing = {name for name, said in alerts(release).items() if values(asked, said)}
        assert firing == set()


def test_a_missing_release_is_an_alert(release: Release) -> None:
    text = alerts(Release(release.namespace, "absent"))["GpserveAbsent"]
    with prometheus() as asked:
        assert values(asked, text)
