"""Settings: read from the environment, refused with their name, and all of them documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, as_markdown
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
    ],
)
def test_an_address_that_no_redis_has_is_refused_without_its_password(url: str) -> None:
    for name in ("GPSERVE_REDIS_URL", "REDIS_URL"):
        with pytest.raises(SettingsError, match="GPSERVE_REDIS_URL") as refused:
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


def test_the_page_of_settings_is_current() -> None:
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == as_markdown(), "run: python -m service settings > docs/settings.md"
