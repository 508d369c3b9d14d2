"""A file that a command will write, asked about before the work that fills it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


class NewFile(click.Path):
    """The path of a file in a folder that is there and may be written to."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a path without such a folder."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        folder = path.parent
        if not os.access(folder, os.W_OK):
            there = "may not be written to" if folder.is_dir() else "is not there"
            self.fail(f"{path}: the folder {folder} {there}", param, ctx)
        return path
