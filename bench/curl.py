"""Uploads by curl."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.places import BUILD, CLIENT_CORE, pinned

ANSWER = BUILD / "answer"


@dataclass(frozen=True)
class Upload:
    """What curl saw: seconds to the last byte of the answer, its size, seconds to its first."""

    seconds: float
    megabytes: float
    first_byte: float = float("nan")


def command(url: str, file: Path, media_type: str, accept: str, *others: str) -> list[str]:
    """The command that sends a file, with other headers, and keeps the answer in `ANSWER`."""
    said = '{"status":%{http_code},"total":%{time_total},'
    said += '"bytes":%{size_download}}'
    headers = ["-H", f"Content-Type: {media_type}", "-H", f"Accept: {accept}"]
    headers += [part for other in others for part in ("-H", other)]
    output = [
        "--silent",
        "--show-error",
        "--no-buffer",
        "--output",
        str(ANSWER),
        "--write-out",
        said,
    ]
    return pinned(
        CLIENT_CORE, ["curl", "-X", "POST", *headers, "--upload-file", str(file), *output, url]
    )


def read(said: str, status: int = 200) -> Upload:
    """What curl's last line says.

    Raises
    ------
    RuntimeError
        The answer has another status.
    """
    seen = json.loads(said)
    if seen["status"] != status:
        raise RuntimeError(f"status {seen['status']}: {ANSWER.read_text()[:300]}")
    return Upload(seen["total"], seen["bytes"] / 1e6)


def upload(url: str, file: Path, media_type: str = "text/csv", accept: str = "text/csv") -> Upload:
    """Send a file and wait for the whole answer."""
    ANSWER.unlink(missing_ok=True)
    sent = command(url, file, media_type, accept)
    started = time.perf_counter()
    with subprocess.Popen(sent, stdout=subprocess.PIPE, text=True) as process:
        first = _first_byte(process) - started
        return replace(read(process.communicate()[0]), first_byte=first)


def _first_byte(process: subprocess.Popen[str]) -> float:
    """When it came: curl's own time counts the first byte that it sends."""
    while process.poll() is None:
        if ANSWER.exists() and ANSWER.stat().st_size:
            break
        time.sleep(0.02)
    return time.perf_counter()


def submit(url: str, file: Path) -> Upload:
    """Send a CSV file as a job."""
    sent = command(url, file, "text/csv", "text/csv", "Prefer: respond-async")
    return read(subprocess.run(sent, capture_output=True, text=True, check=True).stdout, 202)


@contextmanager
def uploading(url: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    """Send a CSV file in the background; end it when the context ends."""
    process = subprocess.Popen(
        command(url, file, "text/csv", "text/csv"), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
