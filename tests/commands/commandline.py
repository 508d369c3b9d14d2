"""The commands, run in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from service.__main__ import main


def run(*arguments: object, ask: str = "") -> Result:
    """`python -m service` with these arguments; `ask` is its standard input."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=ask)
