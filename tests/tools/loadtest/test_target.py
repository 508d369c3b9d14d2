"""A load test waits for a service that is not reachable yet, but not for one that refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from loadtest.target import Target
from tests.helpers.inprocess import WSGI, in_process
from tests.helpers.scripted import answering
from tests.helpers.serving import free_port

READY = "200 OK", b'{"training_range": {"x": [0, 1]}}'
NO_PODS = "503 Service Unavailable", b"no available server"
NO_ROUTE = "404 Not Found", b"404 page not found"
HALF = "200 OK", b"<html>"


def _ingress(*answers: tuple[str, bytes]) -> WSGI:
    """Give these answers, one after the other, and the last one for ever."""
    left = list(answers)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, body = left.pop(0) if len(left) > 1 else left[0]
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]

    return application


def test_it_waits_for_the_first_answer_and_says_so_once() -> None:
    said: list[str] = []
    with in_process(_ingress(NO_ROUTE, NO_PODS, HALF, READY)) as url:
        Target(url).wait(60, said.append)
        assert Target(url).bodies(1, 1)
    [text] = said
    assert text.startswith(f"waiting up to 60 s for {url}/model: HTTP Error 404")


@pytest.mark.parametrize(("seconds", "status"), [(0, NO_PODS), (60, ("403 Forbidden", b""))])
def test_it_does_not_wait_for_ever_nor_when_it_is_refused(
    seconds: float, status: tuple[str, bytes]
) -> None:
    with in_process(_ingress(status)) as url, pytest.raises(HTTPError, match=status[0][:3]):
        Target(url).wait(seconds, lambda _: None)


def test_a_service_that_is_away_is_named_after_the_wait() -> None:
    with pytest.raises(URLError, match="refused"):
        Target(f"http://127.0.0.1:{free_port()}").wait(1, lambda _: None)


def test_a_closed_service_is_asked_with_the_key() -> None:
    seen: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(environ.get("HTTP_AUTHORIZATION", ""))
        start_response(READY[0], [("Content-Length", str(len(READY[1])))])
        return [READY[1]]

    with in_process(application) as url:
        Target(url, token="secret").model()
    assert seen == ["Bearer secret"]


def test_a_redirect_gets_no_key() -> None:
    with (
        answering((200, {"training_range": {}})) as (other, seen),
        answering((302, b"", {"Location": f"{other}/model"})) as (url, _),
    ):
        Target(url, token="secret").model()
    [(path, head, _)] = seen
    assert path == "/model"
    assert "Authorization" not in head
