"""docs/architecture.md lists the files that three requests enter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.gpr import native
from tests.docs.architecture import section
from tests.tools.entered import entered

MOST = {"one JSON point": 16, "one CSV upload": 25, "one job": 46}


@pytest.mark.skipif(native.library() is None, reason="NumPy's way enters other files of gpr/")
def test_requests_enter_the_documented_files(tmp_path: Path) -> None:
    for name, files in entered(tmp_path).items():
        title = f"{name.replace('one', 'One', 1)}: {len(files)} files"
        described = set(re.findall(r"`((?:\w+/)?\w+\.py)`", section(title)))
        assert described == set(files), name
        assert len(files) <= MOST[name]
