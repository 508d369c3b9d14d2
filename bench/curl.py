"""Uploads with curl."""

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
    """An upload by curl: seconds to the answer's last byte, its size, seconds to its first."""

    seconds: float
    megabytes: float
    first_byte: float = float("nan")


def command(url: str, file: Path, media_type: str, accept: str, *others: str) -> list[str]:
    """Return the command that sends a file and writes the answer to `ANSWER`."""
    report = '{"status":%{http_code},"total":%{time_total},'
    report += '"bytes":%{size_download}}'
    headers = ["-H", f"Content-Type: {media_type}", "-H", f"Accept: {accept}"]
    headers += [part for other in others for part in ("-H", other)]
    output = [
        "--silent",
        "--show-error",
        "--no-buffer",
        "--output",
        str(ANSWER),
        "--write-out",
        report,
    ]
    return pinned(
        CLIENT_CORE, ["curl", "-X", "POST", *headers, "--upload-file", str(file), *output, url]
    )


def read(report: str, status: int = 200) -> Upload:
    """Return what curl reported on its last line.

    Raises
    ------
    RuntimeError
        The answer has another status.
    """
    values = json.loads(report)
    if values["status"] != status:
        raise RuntimeError(f"status {values['status']}: {ANSWER.read_text()[:300]}")
    return Upload(values["total"], values["bytes"] / 1e6)


def upload(url: str, file: Path, media_type: str = "text/csv", accept: str = "text/csv") -> Upload:
    """Send a file and wait for the whole answer."""
    ANSWER.unlink(missing_ok=True)
    sent = command(url, file, media_type, accept)
    started = time.perf_counter()
    with subprocess.Popen(sent, stdout=subprocess.PIPE, text=True) as process:
        first = _first_byte(process) - started
        return replace(read(process.communicate()[0]), first_byte=first)


def _first_byte(process: subprocess.Popen[str]) -> float:
    """Return when the answer's first byte came; curl itself counts from the first byte sent."""
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
