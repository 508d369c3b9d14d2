"""`publish`: what it says of servers that are not gpserve, and that it gives them no token."""

from __future__ import annotations

import pytest

from service.commands.options import BUNDLED_MODEL
from tests.commands.commandline import run
from tests.helpers.scripted import answering


def refusal(url: str, token: str = "secret") -> str:
    """What is said, in one line, where a model cannot be published."""
    done = run("publish", BUNDLED_MODEL, url, "--activate", "--token", token)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (1, 2)
    line = done.output.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_gets_no_token(status: int) -> None:
    stored = {"version": "v", "current": True}
    with answering((201, stored), (201, stored)) as (thief, stolen):
        for location in (f"{thief}/models?activate=true", thief):
            with answering((status, b"", {"Location": location})) as (url, seen):
                said = refusal(url)
            assert f"{url} redirects to '{thief}', where the token is not sent" in said
            [(path, head, body)] = seen
            assert path == "/models?activate=true"
            assert head["Authorization"] == "Bearer secret"
            assert body == BUNDLED_MODEL.read_bytes()
    assert not stolen


@pytest.mark.parametrize("location", ["http://[", "//[", "ftp://a", "\x1b[2J"])
def test_a_redirect_to_nowhere(location: str) -> None:
    with answering((302, b"", {"Location": location})) as (url, _):
        said = refusal(url)
    assert f"{url} redirects to '" in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b'{"version":7}',
        b'"\xff"',
        b'{"version":"\xff"}',
        b'{"a":' + b"[" * 9000,
    ],
)
def test_a_server_that_is_not_gpserve(body: bytes) -> None:
    with answering((200, body), (404, body)) as (url, _):
        assert refusal(url) == f"Error: {url} answers, but is not gpserve"
        assert refusal(url) == f"Error: {url} answers 404 Not Found"


def test_an_answer_that_is_cut_off() -> None:
    cut = {"Content-Length": "99"}
    with answering((200, b"{", cut), (500, b"{", cut)) as (url, _):
        for _ in range(2):
            assert f"{url} does not answer: IncompleteRead" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:5000",
        "ftp://localhost",
        "http://",
        "http://[",
        "http://localhost:x",
        "http://localhost:99999",
        "http://me:pass@localhost",
        "http://localhost/a b",
        "http://localhost/\n",
        "http://localhost/ü",
        "http://localhost/?a",
        "http://localhost/#a",
    ],
)
def test_what_is_not_a_url(url: str) -> None:
    assert "is not a URL of a server, as http://localhost:5000" in refusal(url)


@pytest.mark.parametrize("token", ["secret\n", "sec\r\nret", "\N{SNOWMAN}", "\x7f", "\udcff"])
def test_a_token_that_no_header_holds_is_not_shown(token: str) -> None:
    with answering() as (url, seen):
        said = refusal(url, token)
    assert "the token has characters that a header cannot hold" in said
    assert "sec" not in said
    assert not seen
