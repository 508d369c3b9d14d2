"""The file of keys: read, refused, and read again."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.runtime import keys as module
from service.runtime.keys import Keys, new_key
from service.services.errors import Problem
from service.settings import Settings, SettingsError
from tests.commands.commandline import run
from tests.helpers.stack import bearer, write_keys

MINE = bearer("mine")["Authorization"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    return write_keys(tmp_path / "keys.toml")


def refusal(keys: Keys, authorization: str) -> str:
    with pytest.raises(Problem) as refused:
        keys.identify(authorization)
    assert refused.value.status == 401
    return refused.value.detail


def test_a_new_key_opens_and_its_entry_does_not_contain_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    given = {name: new_key(name, ["read", "train"]) for name in ("ada", 'the "good" lab')}
    file.write_text("\n".join(entry for _, entry in given.values()))
    keys = Keys(Settings(keys=str(file)))
    for name, (key, entry) in given.items():
        assert key not in entry
        caller = keys.identify(f"Bearer {key}")
        assert caller.owner == f"key:{name}"
        assert caller.roles == {"read", "train"}


@pytest.mark.parametrize(
    "name", ["Jürgen Müller", "", " ", " ada", "ada ", "a\nb", "ada\n", "a\tb", "\x7f", "a" * 65]
)
def test_a_name_that_logs_and_headers_cannot_hold_is_refused_everywhere(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name!r} cannot be the name of a key")):
        new_key(name, ["read"])
    file = tmp_path / "keys.toml"
    file.write_text(new_key("ada", ["read"])[1].replace("ada", json.dumps(name)))
    with pytest.raises(SettingsError, match="not valid"):
        Keys(Settings(keys=str(file)))


@pytest.mark.parametrize("name", ["ada", "a", "~", 'the "good" lab', "a\\b", "a" * 64])
def test_a_name_of_a_new_key_can_be_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / "keys.toml"
    key, entry = new_key(name, ["read"])
    file.write_text(entry)
    assert Keys(Settings(keys=str(file))).identify(f"Bearer {key}").owner == f"key:{name}"


def test_the_command_makes_no_key_for_a_name_that_is_refused() -> None:
    assert run("key", "ada").output.startswith("[ada]\n")
    done = run("key", "Jürgen Müller")
    assert done.exit_code == 2
    assert "Error: 'Jürgen Müller' cannot be the name of a key" in done.output
    assert "gps_" not in done.output


def test_a_caller_is_remembered_once_checked(file: Path) -> None:
    keys = Keys(Settings(keys=str(file)))
    assert keys.remembered(MINE.encode()) is None
    caller = keys.identify(MINE)
    assert keys.remembered(MINE.encode()) == caller
    assert keys.remembered(MINE.encode() + b" ") is None


def test_the_file_is_read_again_when_it_changes(file: Path) -> None:
    keys = Keys(Settings(keys=str(file), token="secret"))
    keys.identify(MINE)
    lines = file.read_text()
    replace(file, lines.replace("[mine]", "[renamed]"))
    assert keys.remembered(MINE.encode()) is None
    assert keys.identify(MINE).owner == "key:renamed"
    replace(file, lines.partition("[other]")[2].partition("\n\n")[2])
    assert "wrong" in refusal(keys, MINE)
    assert keys.remembered(MINE.encode()) is None
    assert keys.identify("bearer secret").owner == "key:GPSERVE_TOKEN"


def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_remembered(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(Settings(keys=str(file)))
    now = time.time()

    def revoked_meanwhile() -> float:
        """The time that is asked for once the key has been found."""
        monkeypatch.setattr("service.runtime.keys.time.time", lambda: now)
        replace(file, file.read_text().replace("[mine]", "[renamed]"))
        assert keys.remembered(b"of another request, which reads the file again") is None
        return now

    monkeypatch.setattr("service.runtime.keys.time.time", revoked_meanwhile)
    assert keys.identify(MINE).owner == "key:mine"
    assert keys.remembered(MINE.encode()) is None
    assert keys.identify(MINE).owner == "key:renamed"


@pytest.mark.parametrize("broken", ["[mine", "", None])
def test_a_broken_file_changes_nothing_and_is_logged(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(Settings(keys=str(file)))
    before = file.read_text()
    if broken is None:
        file.unlink()
    else:
        replace(file, broken or '[mine]\nsha256 = "abc"\nroles = ["read"]\n')
    for _ in range(3):
        assert keys.identify(MINE).owner == "key:mine"
    (record,) = caplog.records
    assert "remain valid" in record.message
    replace(file, before.replace("[mine]", "[again]"))
    assert keys.identify(MINE).owner == "key:again"


def replace(file: Path, text: str) -> None:
    """Replace a file as Kubernetes and editors do: a new one takes its place."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)


def test_a_key_expires(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(file, file.read_text().replace("[mine]\n", "[mine]\nexpires = 2099-12-31\n"))
    keys = Keys(Settings(keys=str(file)))
    keys.identify(MINE)
    assert keys.remembered(MINE.encode())
    new_year = datetime(2099, 12, 31, tzinfo=UTC).timestamp()
    monkeypatch.setattr("service.runtime.keys.time.time", lambda: new_year)
    assert keys.remembered(MINE.encode()) is None
    assert refusal(keys, MINE) == "the key mine has expired"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('sha256 = "key-of-mine"\nroles = ["read"]', "sha256"),
        ('sha256 = "{a}"\nroles = []', "roles"),
        ('sha256 = "{a}"\nroles = ["root"]', "roles"),
        ('sha256 = "{a}"', "roles"),
        ('sha256 = "{a}"\nroles = ["read"]\nrequests_per_second = 0', "requests_per_second"),
        ('sha256 = "{a}"\nroles = ["read"]\nrequests = 1', "requests"),
        ('sha256 = ["{a}", "{a}"]\nroles = ["read"]', "the same key"),
        ("sha256 = {a}", "not valid"),
    ],
)
def test_an_invalid_file_stops_the_start(tmp_path: Path, entry: str, reason: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text("[ada]\n" + entry.replace("{a}", "a" * 64))
    with pytest.raises(SettingsError, match=reason):
        Keys(Settings(keys=str(file)))


def test_a_missing_file_or_a_shut_door_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        Keys(Settings(keys=str(tmp_path / "none")))
    with pytest.raises(SettingsError, match="shuts everybody out"):
        Keys(Settings(anonymous="none"))


@pytest.mark.parametrize(
    "text", ["[ada]\nroles = " + "[" * 9000, "[ada]\nopen_jobs = " + "9" * 9000]
)
def test_a_file_that_no_parser_can_hold_is_not_valid(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="not valid"):
        Keys(Settings(keys=str(file)))
