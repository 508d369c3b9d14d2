"""Where a plot goes, asked about before the run that it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from matplotlib.backend_bases import FigureCanvasBase


class PlotFile(click.Path):
    """The path of a picture, of a kind that matplotlib writes, in a folder that is there."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse another kind, or a folder that cannot be written to."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        kinds = FigureCanvasBase.get_supported_filetypes()
        if path.suffix[1:].lower() not in kinds:
            self.fail(f"{path}: a plot is one of {', '.join(sorted(kinds))}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"{path}: no file can be written in {path.parent}", param, ctx)
        return path
