"""The path of a plot, checked before the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from matplotlib.backend_bases import FigureCanvasBase


class PlotFile(click.Path):
    """The path of a plot in a format that matplotlib supports, in an existing folder."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; fail for another format or a folder that is not writable."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        formats = FigureCanvasBase.get_supported_filetypes()
        if path.suffix[1:].lower() not in formats:
            self.fail(f"{path}: a plot must be one of {', '.join(sorted(formats))}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"{path}: the folder {path.parent} is not writable", param, ctx)
        return path
