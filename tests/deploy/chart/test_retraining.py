"""Training on a schedule: the CronJob that the chart renders, and the program that it runs."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.deploy.chart.conftest import CHART, Render, only
from tests.helpers.scripted import answering

ON = (
    "jobs.enabled=true",
    'jobs.tokenSecret.name="let-in"',
    "retraining.enabled=true",
    'retraining.options={"target":"mag","restarts":5,"ard":false}',
)
VOLUME = 'retraining.table={"volume":{"nfs":{"server":"disk","path":"/"}},"file":"a/b.csv"}'
TABLE = b"x,y\n1,2\n"
JOB: dict[str, Any] = {"jobID": "7", "status": "accepted", "message": "waiting for a worker"}
DONE = JOB | {"status": "successful", "version": "new", "message": "version new: RMSE 0.1"}
OLD_SERVED = {"models": [{"version": "new", "current": False}, {"version": "old", "current": True}]}
NEW_SERVED = {"models": [{"version": "new", "current": True}, {"version": "old", "current": False}]}


def job_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(only(objects, "CronJob", "retraining")["spec"]["jobTemplate"]["spec"])


def container_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = job_of(objects)["template"]["spec"]["containers"]
    return dict(found)


def environment(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {each.pop("name"): each for each in container_of(objects)["env"]}


def test_the_cronjob_calls_the_service_with_the_token(render: Render) -> None:
    objects = render(*ON, VOLUME)
    program, url, table, options = container_of(objects)["args"]
    assert program.strip() == (CHART / "files" / "retrain.py").read_text().strip()
    service = only(objects, "Service")
    assert url == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert table == "/table/a/b.csv"
    assert json.loads(options) == {"target": "mag", "restarts": "5", "ard": "false"}
    assert environment(objects)["GPSERVE_TOKEN"]["valueFrom"] == {
        "secretKeyRef": {"name": "let-in", "key": "token"}
    }
    objects = render(*ON, VOLUME, 'retraining.tokenSecret={"name":"trainer","key":"k"}')
    assert environment(objects)["GPSERVE_TOKEN"]["valueFrom"] == {
        "secretKeyRef": {"name": "trainer", "key": "k"}
    }


def test_a_failed_training_is_not_repeated_and_an_evicted_pod_is(render: Render) -> None:
    job = job_of(render(*ON, VOLUME, "retraining.timeoutSeconds=60"))
    evicted, failed = job["podFailurePolicy"]["rules"]
    assert (evicted["action"], evicted["onPodConditions"][0]["type"]) == (
        "Ignore",
        "DisruptionTarget",
    )
    assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [1])
    assert job["activeDeadlineSeconds"] == 60
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_a_url_may_come_from_a_secret(render: Render) -> None:
    for table, wanted in [
        ('{"url":"https://disk/t.csv"}', {"value": "https://disk/t.csv"}),
        (
            '{"urlSecret":{"name":"mine","key":"url"}}',
            {"valueFrom": {"secretKeyRef": {"name": "mine", "key": "url"}}},
        ),
    ]:
        objects = render(*ON, f"retraining.table={table}")
        assert container_of(objects)["args"][2] == "$(TABLE_URL)"
        assert environment(objects)["TABLE_URL"] == wanted


def test_network_policies_admit_the_retraining(render: Render) -> None:
    objects = render(*ON, VOLUME, 'networkPolicy.from=[{"podSelector":{}}]')
    labels = job_of(objects)["template"]["metadata"]["labels"].items()
    (incoming,) = only(objects, "NetworkPolicy")["spec"]["ingress"]
    admitted = [each["podSelector"].get("matchLabels") for each in incoming["from"]]
    assert [each for each in admitted if each and each.items() <= labels]
    own = only(objects, "NetworkPolicy", "retraining")["spec"]
    assert own["podSelector"]["matchLabels"].items() <= labels
    pods = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    (outgoing,) = [each for each in own["egress"] if "to" in each]
    assert outgoing["to"][0]["podSelector"]["matchLabels"].items() <= pods


def retrain(
    url: str, table: str, token: str = "let-me-in", **options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHART / "files" / "retrain.py"), url, table, json.dumps(options)]
    given = {"GPSERVE_TOKEN": token, "IDEMPOTENCY_KEY": "nightly-1", "PAUSE_SECONDS": "0.01"}
    return subprocess.run(
        command, env=given, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "table.csv").write_bytes(TABLE)
    return str(tmp_path / "table.csv")


def test_it_waits_while_the_service_is_busy_and_until_the_training_has_ended(table: str) -> None:
    busy = {"detail": "the job queue does not answer: try again soon"}
    script = [(503, busy), (202, JOB), (502, b"<html>"), (200, DONE), (200, NEW_SERVED)]
    with answering(*script) as (url, seen):
        done = retrain(url, table, target="y")
    assert done.returncode == 0, done.stderr
    assert "503: the job queue does not answer" in done.stdout
    assert done.stdout.endswith("version new: RMSE 0.1\n")
    (first, head, body), (_, again, _) = seen[:2]
    assert urlsplit(first).path == "/train"
    assert dict(parse_qsl(urlsplit(first).query)) == {"target": "y"}
    assert (body, head["Authorization"]) == (TABLE, "Bearer let-me-in")
    assert head["Idempotency-Key"] == again["Idempotency-Key"]
    assert head["Idempotency-Key"].startswith("nightly-1-")


FAILURES = {
    "the table is refused": ([(422, {"detail": "line 3"})], "refuses: 422: line 3"),
    "the training fails": (
        [(202, JOB), (200, JOB | {"status": "failed", "problem": {"detail": "no fit"}})],
        "the training failed: no fit",
    ),
    "the old version is better": (
        [(202, DONE | {"message": "It is stored, but not activated, because it is worse: …"})],
        "version new is not served: its scores are clearly worse",
    ),
    "it is never served": (
        [(202, DONE), *[(200, OLD_SERVED)] * 12],
        "it was replaced meanwhile, or cannot be loaded. URL/models, /readyz and the web pods' "
        "log say more.",
    ),
}


@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
def test_it_fails_and_says_why(table: str, script: list[tuple[int, Any]], message: str) -> None:
    with answering(*script) as (url, _):
        done = retrain(url, table)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(message.replace("URL", url))


def test_a_replica_may_serve_the_new_version_a_little_later(table: str) -> None:
    with answering((202, DONE), (200, OLD_SERVED), (200, OLD_SERVED), (200, NEW_SERVED)) as (
        url,
        seen,
    ):
        done = retrain(url, table)
    assert done.returncode == 0, done.stderr
    assert [path for path, _, _ in seen[1:]] == ["/models"] * 3


@pytest.mark.parametrize("no", ["false", "False", "0"])
def test_a_version_that_is_not_to_be_served_need_not_be(table: str, no: str) -> None:
    with answering((202, DONE)) as (url, _):
        assert retrain(url, table, activate=no).returncode == 0


def test_a_table_from_a_url_with_a_password() -> None:
    with answering((200, gzip.compress(TABLE)), (422, {"detail": "seen"})) as (url, seen):
        retrain(url, url.replace("//", "//me:p%40ss@") + "/t.csv.gz")
    (path, head, _), (_, sent, body) = seen
    assert (path, head["Authorization"]) == ("/t.csv.gz", "Basic bWU6cEBzcw==")
    assert (sent["Content-Encoding"], gzip.decompress(body)) == ("gzip", TABLE)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    done = retrain("http://127.0.0.1:1", str(tmp_path / "none.csv"))
    assert done.returncode == 1
    assert done.stderr.startswith("the table cannot be read: ")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_gets_no_token(table: str, status: int) -> None:
    with answering((200, DONE), (200, DONE)) as (thief, stolen):
        for location in (f"{thief}/train", "http://["):
            with answering((status, b"", {"Location": location})) as (url, _):
                done = retrain(url, table)
            assert done.returncode == 1
            [line] = done.stderr.splitlines()
            assert f"a redirect to '{location}', where the token is not sent" in line
    assert not stolen


def test_a_redirect_of_the_table_is_followed_and_another_server_gets_no_password() -> None:
    with answering((200, TABLE), (200, TABLE)) as (other, seen):
        for to in ("{url}/there.csv", f"{other}/there.csv"):
            moved = {"Location": to}
            with answering((302, b"", moved), (200, TABLE), (422, b"seen")) as (url, asked):
                moved["Location"] = to.format(url=url)
                retrain(url, url.replace("//", "//me:pass@") + "/here.csv")
            heads = [head.get("Authorization", "") for path, head, _ in asked if "csv" in path]
            assert heads == ["Basic bWU6cGFzcw=="] * (2 if "{url}" in to else 1)
    [(path, head, _)] = seen
    assert path == "/there.csv"
    assert "Authorization" not in head


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"[" * 9000, b"\xff"])
def test_a_server_that_is_not_gpserve(table: str, answer: bytes) -> None:
    with answering((200, answer)) as (url, _):
        [line] = retrain(url, table).stderr.splitlines()
    assert line == f"{url}/train? answers, but is not gpserve"


def test_a_token_that_no_header_holds_is_not_shown(table: str) -> None:
    [line] = retrain("http://127.0.0.1:1", table, token="secret\n").stderr.splitlines()
    assert line.startswith("GPSERVE_TOKEN has characters that a header cannot hold")


def test_an_address_of_a_table_that_is_none() -> None:
    [line] = retrain("http://127.0.0.1:1", "http://[").stderr.splitlines()
    assert line.startswith("the table cannot be read: ")
