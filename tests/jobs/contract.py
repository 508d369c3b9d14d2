"""`make fuzz-api`: requests that schemathesis makes from /openapi.json, with a key and without."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.stack import stack

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--checks=not_a_server_error,status_code_conformance,content_type_conformance",
    "--workers=1",  # more workers hit a race in CPython 3.11's ast module
    f"--request-timeout={PATIENCE_SECONDS:g}",
)
KEY = "--header=Authorization: Bearer secret"
SYSTEMATIC = 2500
"""About as many requests are made before the random ones."""

OPERATIONS = 25
"""At least as many operations have something to vary, and get all the random requests."""

_GENERATED = re.compile(r"(\d[\d,]*) generated")


def run_schemathesis(
    url: str, folder: Path, *, examples: int, key: bool, seed: int = 1
) -> subprocess.CompletedProcess[str]:
    """Send the systematic requests, and so many random ones for each operation."""
    return subprocess.run(
        [
            SCHEMATHESIS,
            f"--config-file={CONFIGURATION}",
            "run",
            f"{url}/openapi.json",
            *OPTIONS,
            *([KEY] if key else []),
            f"--max-examples={examples}",
            f"--seed={seed}",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=7200,
        check=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.jobs.contract", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="at least, for each run")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    examples = max(1, (given.requests - SYSTEMATIC) // OPERATIONS)
    print(f"seed {given.seed}: the same seed makes the same requests", flush=True)
    rows = ["| schemathesis | requests | failed |", "| --- | ---: | --- |"]
    failed = False
    for key in (True, False):
        with tempfile.TemporaryDirectory() as name, stack(Path(name) / "stack") as system:
            folder = Path(name)
            done = run_schemathesis(
                system.http, folder, examples=examples, key=key, seed=given.seed
            )
        found = _GENERATED.search(done.stdout)
        count = found[1] if found else "unknown"
        failed |= done.returncode != 0
        if found and int(count.replace(",", "")) < given.requests:
            failed = True
            print(f"only {count} requests were made: {given.requests:,} were asked for")
        if done.returncode:
            print(done.stdout[-16000:] + done.stderr[-4000:])
        who = "with a key" if key else "without a key"
        rows.append(f"| {who} | {count} | {'yes' if done.returncode else 'no'} |")
        print(rows[-1], flush=True)
    print("\n" + "\n".join(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
