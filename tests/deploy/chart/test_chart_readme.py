"""The README's table of values is generated from the comments in values.yaml."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from scripts import chart_readme


def test_the_table_is_current() -> None:
    done = CliRunner().invoke(chart_readme.main, ["--check"])
    assert done.exit_code == 0, done.output


def test_groups_leaves_and_defaults() -> None:
    text = (
        "# The\n# image.\nimage:\n  # Its tag.\n  tag: ''\n# Pods.\nprobe:\n  a: 1\n"
        "# A | b.\nlabels: {x: '1'}\n"
    )
    rows = chart_readme.table(text).splitlines()[2:]
    assert rows == [
        "| `image` |  | The image. |",
        '| `image.tag` | `""` | Its tag. |',
        '| `probe` | `{"a": 1}` | Pods. |',
        '| `labels` | `{"x": "1"}` | A \\| b. |',
    ]


def test_a_value_without_a_comment_is_reported() -> None:
    text = "# Commented.\na:\n  # Commented.\n  b: 1\n  c: 2\n"
    with pytest.raises(chart_readme.UncommentedValueError, match=r"line 5: a\.c"):
        chart_readme.table(text)
