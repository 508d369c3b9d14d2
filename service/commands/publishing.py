"""The command that sends a model file to a running server."""

from __future__ import annotations

import re
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPErrorProcessor, Request, build_opener

import click
import msgspec

from service.commands.options import INPUT_FILE, FileCommand

_HEADER_VALUE = re.compile(r"[ -~\x80-\xff]*")
_ANSWER_SECONDS = 300
_NOT_JSON = msgspec.DecodeError, UnicodeDecodeError, RecursionError


class _Stored(msgspec.Struct):
    """What gpserve answers when it has stored a version."""

    version: str
    current: bool


class _AnyAnswer(HTTPErrorProcessor):
    """Takes a redirect as an answer like others: the token is for the server that was named."""

    def http_response(self, request: Request, response: HTTPResponse) -> HTTPResponse:
        """Return the answer as it is."""
        return response

    https_response = http_response


@click.command(cls=FileCommand)
@click.argument("model_file", metavar="MODEL", type=INPUT_FILE)
@click.argument("url")
@click.option("--token", envvar="GPSERVE_TOKEN", required=True, help="Default: GPSERVE_TOKEN.")
@click.option("--activate", is_flag=True, help="Serve it at once.")
@click.option("--force", is_flag=True, help="Even if its scores are clearly worse.")
def publish(model_file: Path, url: str, token: str, activate: bool, force: bool) -> None:
    """Send the model in the file MODEL to the service at URL, which stores it as a version."""
    if force and not activate:
        raise click.UsageError("--force has no effect without --activate")
    if not _is_url(url):
        raise click.UsageError(f"{url!r} is not a URL of a server, as http://localhost:5000")
    if not _HEADER_VALUE.fullmatch(token):
        raise click.UsageError(
            "the token has characters that a header cannot hold, such as a line break"
        )
    query = {"activate": "true"} if activate else {}
    query |= {"force": "true"} if force else {}
    stored = _send(model_file, url.rstrip("/"), f"/models?{urlencode(query)}", token)
    served = "serves it now" if stored.current else "stores it; activate it to serve it"
    click.echo(f"{model_file}: version {stored.version}; {url} {served}")


def _is_url(text: str) -> bool:
    """Whether urllib can ask a server at this address, with a path after it."""
    try:
        url = urlsplit(text)
        known = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not {" ", "@", "?", "#"} & set(text)
    return bool(known and plain)


def _send(model_file: Path, url: str, path: str, token: str) -> _Stored:
    head = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(model_file.stat().st_size),
    }
    with model_file.open("rb") as stream:
        request = Request(url + path, stream, head, method="POST")
        try:
            with build_opener(_AnyAnswer).open(request, timeout=_ANSWER_SECONDS) as answer:
                body = answer.read()
        except (OSError, HTTPException) as error:
            raise click.ClickException(f"{url} does not answer: {error}") from None
    if answer.status >= 300:
        raise click.ClickException(_reason(answer, body, url, path))
    try:
        return msgspec.json.decode(body, type=_Stored)
    except _NOT_JSON:
        raise click.ClickException(f"{url} answers, but is not gpserve") from None


def _reason(answer: HTTPResponse, body: bytes, url: str, path: str) -> str:
    """Return what the service says, or the status where another program answers."""
    location = answer.headers["Location"]
    if answer.status < 400 and location:
        with suppress(ValueError):
            location = urljoin(url + path, location).removesuffix(path)
        return (
            f"{url} redirects to {location!r}, where the token is not sent: "
            "if that is your service, publish there"
        )
    with suppress(*_NOT_JSON, KeyError, TypeError):
        return f"{answer.status}: {msgspec.json.decode(body)['detail']}"
    return f"{url} answers {answer.status} {answer.reason}"
