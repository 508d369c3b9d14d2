"""The code on docs/toolkits.md, run as one program; its assertions compare with each toolkit."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "toolkits.md"

_BLOCK = re.compile(r"```python\n(.*?)```\n", re.DOTALL)


def run(page: str) -> str:
    """Run the page's code in an empty folder; return the error that stops it, or nothing."""
    before, names = Path.cwd(), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for block in _BLOCK.findall(page):
                # Some toolkits print their progress.
                with contextlib.redirect_stdout(None):
                    exec(compile(block, PAGE.name, "exec"), names)
        except Exception as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        finally:
            os.chdir(before)
    return ""
