"""Where commands write: never over what they read, and whole files or nothing."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.commands.options import BUNDLED_MODEL
from service.gpr import GPR
from service.model import write_file
from tests.commands.commandline import run
from tests.gpr import oracle
from tests.helpers.patience import PATIENCE_SECONDS, until
from tests.helpers.serving import ROOT

HEADER = "lat,long,depth,stations"
POINT = "-20,181,500,30"
POINTS = f"{HEADER}\n{POINT}\n"
PREDICT = [sys.executable, "-m", "service", "predict"]


@pytest.fixture
def points(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    return path


def test_a_table_is_replaced_by_its_answers(points: Path) -> None:
    expected = run("predict", points).stdout_bytes
    assert expected.startswith(f"{HEADER},mean,variance\n{POINT},".encode())
    points.chmod(0o640)
    done = run("predict", points, "--out", points)
    assert done.exit_code == 0, done.output
    assert points.read_bytes() == expected
    assert points.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in points.parent.iterdir()] == ["points.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(points: Path) -> None:
    done = run("predict", points, "--out", "/dev/full")
    assert done.exit_code == 1
    assert done.output.endswith("Error: No space left on device\n")


def test_a_bad_row_leaves_the_file_as_it_was(points: Path) -> None:
    points.write_text(POINTS + f"{POINT}\n" * 10_000 + "-20,181,500,x\n")
    out = points.with_name("out.csv")
    for before in (b"precious", None):
        if before is not None:
            out.write_bytes(before)
        else:
            out.unlink()
        done = run("predict", points, "--out", out)
        assert done.exit_code == 1
        assert "line 10003: stations is not a number" in done.output
        assert {path.name for path in points.parent.iterdir()} == {"points.csv"} | (
            {"out.csv"} if before else set()
        )
        assert before is None or out.read_bytes() == before


def test_answers_are_on_the_disk_while_points_are_still_read(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("precious")
    process = subprocess.Popen(
        [*PREDICT, "-", "--on-bad-row", "nan", "--out", str(out)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"{HEADER}\n" + f"{POINT}\n" * 200_000)
    process.stdin.flush()
    until(lambda: any(path.stat().st_size for path in tmp_path.glob("*.part")))
    assert out.read_text() == "precious"
    process.stdin.close()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert len(out.read_text().splitlines()) == 200_001
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_is_written_whatever_it_is(points: Path, name: str) -> None:
    expected = run("predict", points).stdout_bytes
    command = [*PREDICT, str(points), "--out", name]
    piped = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert piped.stdout == expected
    log = points.with_name("log.csv")
    log.write_bytes(b"before\n")
    with log.open("ab") as appended:
        subprocess.run(command, cwd=ROOT, stdout=appended, check=True)
    assert log.read_bytes() == b"before\n" + expected


def test_a_pipe_is_written_and_not_replaced(points: Path) -> None:
    pipe = points.with_name("pipe")
    os.mkfifo(pipe)
    expected = [run("predict", points).stdout_bytes, b"ab"]
    read: list[bytes] = []
    for write in (
        lambda: run("predict", points, "--out", pipe),
        lambda: write_file(pipe, [b"a", b"b"]),
    ):
        reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
        reader.start()
        write()
        reader.join(PATIENCE_SECONDS)
        assert pipe.is_fifo()
    assert read == expected


def test_a_link_is_kept_and_its_file_replaced(points: Path) -> None:
    folder = points.parent / "folder"
    folder.mkdir()
    link, target = points.with_name("link.csv"), folder / "target.csv"
    link.symlink_to(target)
    assert write_file(link, [b"a", b"b"]) == 2
    assert link.is_symlink()
    assert target.read_bytes() == b"ab"
    assert [path.name for path in folder.iterdir()] == ["target.csv"]


def test_no_other_command_replaces_its_input(tmp_path: Path) -> None:
    table, model, picture = tmp_path / "a.csv", tmp_path / "a.npz", tmp_path / "a.png"
    table.write_text(POINTS)
    model.write_bytes(pickle.dumps(GPR))
    picture.write_bytes(BUNDLED_MODEL.read_bytes())
    link = tmp_path / "link.csv"
    link.symlink_to(table)
    for given, *arguments in (
        (table, "train", table, "--target", "lat", "--out", link),
        (model, "train", model, "--target", "lat"),
        (model, "convert", model, "--yes-i-trust-this-file"),
        (picture, "diagnose", picture),
        (picture, "predict", table, "--model", picture, "--out", picture),
    ):
        before = given.read_bytes()
        done = run(*arguments)
        assert done.exit_code == 2, arguments
        assert "is the input, which would be lost: choose another --out" in done.output
        assert given.read_bytes() == before


def test_the_model_of_a_gzipped_table_has_the_name_of_the_table(tmp_path: Path) -> None:
    X, y = oracle.data(20, 1)
    rows = [f"{a},{b}" for a, b in zip(X[:, 0], y[:, 0], strict=True)]
    packed = tmp_path / "data.csv.gz"
    packed.write_bytes(gzip.compress("\n".join(["a,y", *rows]).encode()))
    assert run("train", packed, "--target", "y", "--restarts", 1).exit_code == 0
    assert GPR.load(tmp_path / "data.npz").description.name == "data"
