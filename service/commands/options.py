"""What several commands take: files, tables, lists of names."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from service.model import is_stream
from service.services.body import open_body, starts_like_gzip

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "pretrained.npz"

UNLIMITED = 2**63
"""For limits that protect a server."""


STDOUT = Path("-")


class FileCommand(click.Command):
    """A command that says in one line why a file cannot be read or written."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the system refuses, such as more on a full disk, is said."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # which Click ends quietly
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from error


class OutputFile(click.Path):
    """The path of a file in a folder that exists and is writable: checked before the work.

    Parameters
    ----------
    dash : whether it may be standard output, which is then `STDOUT`, whatever it is called
    """

    def __init__(self, *, dash: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, allow_dash=dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Fail for a path without such a folder; a pipe or a device needs none."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self.allow_dash and (path == STDOUT or _is_standard_output(path)):
            return STDOUT
        folder = Path(os.path.realpath(path)).parent
        if not is_stream(path) and not os.access(folder, os.W_OK):
            why = "is not writable" if folder.is_dir() else "does not exist"
            self.fail(f"{path}: the folder {folder} {why}", param, ctx)
        return path


def _is_standard_output(path: Path) -> bool:
    """Whether a path is that of our standard output, as /dev/stdout is, also where it is a file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def refuse_input(target: Path, source: Path) -> None:
    """Raise a `click.UsageError` for an output that would replace an input of another kind."""
    if target.exists() and target.samefile(source):
        raise click.UsageError(f"{target} is the input, which would be lost: choose another --out")


DECIMAL = click.option(
    "--decimal",
    type=click.Choice(["auto", "point", "comma"]),
    default="auto",
    show_default=True,
    help="The decimal sign in the table; auto: as its numbers show.",
)
INPUT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def names_in(text: str | None) -> tuple[str, ...]:
    """Return the names in a list that is separated by commas."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def decompressed(source: BinaryIO) -> BinaryIO:
    """Return a table's text, which may be gzipped."""
    buffered = io.BufferedReader(cast(io.RawIOBase, source))
    return open_body(buffered, "gzip" if starts_like_gzip(buffered.peek()) else "", UNLIMITED)
