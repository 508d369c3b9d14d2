"""The check of a key on the event loop: `python -m bench.keycheck` prints its microseconds.

It runs in the service's environment.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import timeit
from pathlib import Path

KEYS = 1000
CALLS, REPEATS = 100_000, 7
_LIMIT = "requests_per_second = 1000000\n"


def write_keys(file: Path) -> dict[str, str]:
    """Write a file of many keys; return the ``Authorization`` of callers of each kind."""
    entries = []
    for i in range(KEYS):
        digest = hashlib.sha256(f"key {i}".encode()).hexdigest()
        limit = _LIMIT if i == 1 else ""
        entries.append(f'[caller-{i}]\nsha256 = "{digest}"\nroles = ["predict"]\n{limit}')
    file.write_text("\n".join(entries))
    return {"no key": "", "a key": "Bearer key 0", "a key with a limit": "Bearer key 1"}


def check_alone() -> dict[str, float]:
    """Return the microseconds that the check takes on the event loop, by kind of caller."""
    from service.runtime.keys import Keys
    from service.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.toml"
        headers = write_keys(file)
        keys = Keys(Settings(keys=str(file)))
        found = {}
        for name, header in list(headers.items())[:2]:
            keys.identify(header)
            given = header.encode()

            def check(given: bytes = given) -> bool:
                caller = keys.remembered(given) if given else keys.anonymous
                return caller is not None and "predict" in caller.roles

            found[name] = min(timeit.repeat(check, number=CALLS, repeat=REPEATS)) / CALLS * 1e6
        return found


if __name__ == "__main__":
    json.dump(check_alone(), sys.stdout)
