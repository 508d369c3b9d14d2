"""A few hundred inputs for each reader; `make fuzz` tries 100,000."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.readers import READERS
from tests.fuzz.running import Reader, Run

INPUTS = 200


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that overflow
@pytest.mark.parametrize("name", READERS)
def test_no_input_breaks_a_reader(name: str, tmp_path: Path) -> None:
    result = Run(name, READERS[name](), 1, tmp_path).run(INPUTS)
    assert not result.failures
    assert result.answered, "not even the valid inputs are read"
    assert result.outcomes > 2


def test_the_fuzzer_finds_what_is_wrong(tmp_path: Path) -> None:
    def read(data: bytes) -> str:
        return str(int(data)) if data.isdigit() else data.decode()

    run = Run("digits", Reader(read, [b"12", b"7"]), 1, tmp_path)
    result = run.run(INPUTS)
    [kind] = [kind for kind in result.failures if kind.startswith("UnicodeDecodeError")]
    assert result.failures[kind].path.read_bytes() == result.failures[kind].data
    again = Run("digits", Reader(read, [b"12", b"7"]), 1, tmp_path).run(INPUTS)
    assert again.failures.keys() == result.failures.keys(), "the same seed, the same inputs"
