"""Settings: read from the environment, refused with their name, and all of them documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, as_markdown, listening
from tests.helpers.serving import ROOT


def test_defaults() -> None:
    assert Settings.from_environ({}) == Settings()


def test_values_are_converted() -> None:
    settings = Settings.from_environ(
        {"GPSERVE_MODEL": "a/b.npz", "GPSERVE_DRAIN_SECONDS": "0.5", "HOME": "/root"}
    )
    assert settings.model == Path("a/b.npz")
    assert settings.drain_seconds == 0.5


def test_links_that_kubernetes_makes_are_no_settings() -> None:
    links = {
        "GPSERVE_SERVICE_HOST": "10.0.0.1",
        "GPSERVE_SERVICE_PORT": "80",
        "GPSERVE_SERVICE_PORT_HTTP": "80",
        "GPSERVE_PORT": "tcp://10.0.0.1:80",
        "GPSERVE_PORT_80_TCP_ADDR": "10.0.0.1",
        "GPSERVE_CANARY_SERVICE_HOST": "10.0.0.2",
    }
    assert Settings.from_environ(links) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GPSERVE_WORKERS", "two"),
        ("GPSERVE_WORKERS", "0"),
        ("GPSERVE_MAX_BACKLOG_SECONDS", "-1"),
        ("GPSERVE_JOB_TTL_SECONDS", "0"),
        ("GPSERVE_JOB_TTL_SECONDS", "0.5"),
        ("GPSERVE_JOB_TTL_SECONDS", "inf"),
        ("GPSERVE_LOG_LEVEL", "loud"),
        ("GPSERVE_WROKERS", "2"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({name: value})


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6379",
        "http://host/0",
        "redis+sentinel://host/master",
        "redis://:sec@ret@host:6379/0",
        "redis://:sec#ret@host:6379/0",
        "redis://:secret@host:port/0",
        "redis://:secret@host/0?db=x",
        "redis://:secret@host/0?nosuch=1",
    ],
)
def test_an_address_that_no_redis_has_is_refused_without_its_password(url: str) -> None:
    for name in ("GPSERVE_REDIS_URL", "REDIS_URL", "GPSERVE_STORE"):
        if name == "GPSERVE_STORE" and not url.startswith("redis://"):
            continue
        with pytest.raises(SettingsError, match=name) as refused:
            Settings.from_environ({name: url})
        assert "sec" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://u:p%40@h:6380/1",
        "unix:///a/b.sock",
        "redis://[::1]:6379",
        "unix://a b",
    ],
)
def test_an_address_of_a_redis(url: str) -> None:
    assert Settings.from_environ({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:abc",
        "127.0.0.1:99999",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "foo",
        "5000",
        "::1:5000",
        "[::1]",
        "[::1:5000",
        "a b:5000",
        "ä..b:5000",
    ],
)
def test_an_address_without_a_host_and_a_port_is_refused(address: str) -> None:
    for name in ("GPSERVE_BIND", "GPSERVE_WORKER_BIND"):
        with pytest.raises(SettingsError, match=f"{name} is .*: it must be HOST:PORT with"):
            Settings.from_environ({name: address})
    with pytest.raises(SettingsError, match="GPSERVE_BIND is"):
        Settings.from_environ({"GPSERVE_BIND": f"127.0.0.1:5000,{address}"})


def test_addresses() -> None:
    """gunicorn knows more kinds of them than a worker."""
    given = "localhost:5000, tcp://[::1]:80, :0, unix:/run/gpserve.sock, fd://3"
    settings = Settings.from_environ({"GPSERVE_BIND": given, "GPSERVE_WORKER_BIND": "[::]:5002"})
    assert settings.bind == given
    assert settings.server_addresses == [("localhost", 5000), ("::1", 80), ("", 0)]
    assert settings.worker_address == ("::", 5002)
    for other in ("unix:/run/gpserve.sock", "fd://3"):
        with pytest.raises(SettingsError, match="GPSERVE_WORKER_BIND"):
            Settings.from_environ({"GPSERVE_WORKER_BIND": other})
    with pytest.raises(SettingsError, match="GPSERVE_BIND"):
        Settings.from_environ({"GPSERVE_BIND": "fd://three"})
    empty = Settings.from_environ({"GPSERVE_BIND": "", "GPSERVE_WORKER_BIND": ""})
    assert (empty.bind, empty.worker_bind) == (Settings().bind, Settings().worker_bind)


@pytest.mark.parametrize(
    ("host", "reason"), [("nosuch.invalid", "Name or service"), ("192.0.2.1", "Cannot assign")]
)
def test_an_address_of_another_machine_is_refused_with_the_reason(host: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=f"on {host}:5000: {reason}.*GPSERVE_WORKER_BIND"):
        listening("worker_bind", host, 5000)


def test_the_page_of_settings_is_current() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == as_markdown(), "run: python -m service settings > docs/settings.md"
