"""`make fuzz`: feed every reader with bytes that nobody should send, and print what came of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.readers import READERS, be_quiet, run_reader
from tests.fuzz.running import Result, Run

FOLDER = Path("build/fuzz")
_SHOWN = 2000


def _table(results: Sequence[Result]) -> str:
    rows = [
        "| reader | inputs | per s | read | kinds of answers | slowest, CPU ms | growth, MiB | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in results:
        rows.append(
            f"| {r.name} | {r.inputs} | {r.inputs / r.seconds:.0f} | {r.answered} | {r.outcomes} "
            f"| {r.slowest * 1e3:.0f} | {r.growth / 2**20:.1f} | {len(r.failures)} |"
        )
    return "\n".join(rows)


def _print_failures(result: Result) -> None:
    for kind, failure in result.failures.items():
        print(f"\n{result.name}: {kind} ({failure.count} inputs), the first one:")
        print(f"{failure.data[:_SHOWN]!r}\n{failure.told}")
        print(f"repeat it: .venv/bin/python -m tests.fuzz --repeat {failure.path}")


def _repeat(path: Path) -> int:
    """Read one stored input again; its file begins with the reader's name."""
    be_quiet()
    name = path.name.rpartition("-")[0]
    run = Run(name, READERS[name](), 0, FOLDER)
    with run.watched():
        run.try_one(path.read_bytes())
    _print_failures(run.result)
    return not run.result.passed


def _run_all(names: Sequence[str], count: int, seed: int, processes: int) -> int:
    print(f"seed {seed}: the same seed makes the same inputs", flush=True)
    context = get_context("spawn")
    results: dict[str, Result] = {}
    with ProcessPoolExecutor(processes, context, max_tasks_per_child=1) as pool:
        running = [pool.submit(run_reader, name, count, seed, FOLDER) for name in names]
        for done in as_completed(running):
            result = done.result()
            results[result.name] = result
            print(_table([result]).splitlines()[-1], flush=True)
    ordered = [results[name] for name in names]
    for result in ordered:
        _print_failures(result)
    print(f"\n{_table(ordered)}")
    return not all(result.passed for result in ordered)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", help=f"default: all, {', '.join(READERS)}")
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="read one stored input again")
    given = parser.parse_args()
    if given.repeat:
        return _repeat(given.repeat)
    if unknown := set(given.readers) - READERS.keys():
        parser.error(f"no such reader: {', '.join(sorted(unknown))}")
    return _run_all(given.readers or list(READERS), given.inputs, given.seed, given.processes)


if __name__ == "__main__":
    sys.exit(main())
