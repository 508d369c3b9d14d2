"""The page's files over HTTP: ETags, media types, and nothing from other hosts."""

from __future__ import annotations

import re

import httpx
import pytest

from service.web.pages import FOLDER

FILES = sorted(path.name for path in FOLDER.iterdir())


def test_the_page_is_at_the_root(http: httpx.Client) -> None:
    answer = http.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == (FOLDER / "index.html").read_bytes()


def test_head(http: httpx.Client) -> None:
    answer = http.head("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str((FOLDER / "index.html").stat().st_size)
    assert answer.content == b""


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_only_if_its_etag_is_another(http: httpx.Client, name: str) -> None:
    first = http.get(f"/page/{name}")
    assert first.content == (FOLDER / name).read_bytes()
    again = http.get(f"/page/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    other = http.get(f"/page/{name}", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("suffix", "kind"), [("js", "javascript"), ("css", "text/css"), ("svg", "image/svg+xml")]
)
def test_types(http: httpx.Client, suffix: str, kind: str) -> None:
    names = [name for name in FILES if name.endswith(f".{suffix}")]
    assert names
    for name in names:
        assert kind in http.get(f"/page/{name}").headers["Content-Type"]


def test_no_other_host_is_allowed(http: httpx.Client) -> None:
    policy = http.get("/").headers["Content-Security-Policy"]
    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert sources["default-src"] == "'none'"
    assert sources["script-src"] == sources["style-src"] == sources["connect-src"] == "'self'"
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", FILES)
def test_no_address_of_another_host(name: str) -> None:
    text = (FOLDER / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[a-z]", text) == []


@pytest.mark.parametrize("path", ["/page/none.js", "/page/..%2fapp.py", "/page/"])
def test_other_files_are_not_found(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_page_cannot_be_written(http: httpx.Client) -> None:
    assert http.post("/").status_code == 405
