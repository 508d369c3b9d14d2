"""Write the table of values in the chart's README from the comments in values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import yaml

CHART = Path(__file__).parents[1] / "helm" / "gpserve"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->"


class UncommentedValueError(ValueError):
    """A value without a comment; the message names it."""


def comment_above(lines: list[str], line: int) -> str:
    """Return the comment directly above a line (counted from 0), as one text."""
    start = line
    while start > 0 and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return " ".join(text.lstrip("# ").rstrip() for text in lines[start:line])


def rows(
    lines: list[str], node: yaml.MappingNode, path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield (key, default, comment) for every value below a node, in the file's order.

    Raises
    ------
    UncommentedValueError
        A value has no comment.
    """
    for key, value in node.value:
        name, comment = f"{path}{key.value}", comment_above(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and is_group(lines, value):
            if comment:
                yield name, "", comment
            yield from rows(lines, value, f"{name}.")
        elif not comment:
            raise UncommentedValueError(f"values.yaml, line {key.start_mark.line + 1}: {name}")
        else:
            yield name, default_of(value), comment


def is_group(lines: list[str], node: yaml.MappingNode) -> bool:
    """Whether the values in a mapping have comments, so that each gets its own row."""
    block = not node.flow_style and bool(node.value)
    return block and any(
        comment_above(lines, key.start_mark.line)
        or (isinstance(value, yaml.MappingNode) and is_group(lines, value))
        for key, value in node.value
    )


def default_of(node: yaml.Node) -> str:
    """Return a value as JSON, which is YAML on one line."""
    value = yaml.safe_load(yaml.serialize(node))
    return f"`{json.dumps(value)}`"


def table(values: str) -> str:
    """Return the Markdown table for the text of a values.yaml."""
    node = yaml.compose(values)
    assert isinstance(node, yaml.MappingNode)
    head = "| value | default | what it does |\n| --- | --- | --- |\n"
    found = rows(values.splitlines(), node)
    return head + "".join(
        f"| `{name}` | {default} | {comment.replace('|', chr(92) + '|')} |\n"
        for name, default, comment in found
    )


def with_table(readme: str, values: str) -> str:
    """Return the text of a README with a new table."""
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if not re.search(pattern, readme, re.DOTALL):
        raise click.ClickException(f"README.md has no {BEGIN.strip()} … {END}")
    return re.sub(pattern, lambda _: BEGIN + table(values) + END, readme, flags=re.DOTALL)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if README.md is out of date.")
def main(check: bool) -> None:
    """Write the table of values in helm/gpserve/README.md."""
    readme = CHART / "README.md"
    before = readme.read_text()
    try:
        after = with_table(before, (CHART / "values.yaml").read_text())
    except UncommentedValueError as error:
        raise click.ClickException(f"no comment above this value: {error}") from error
    if check and before != after:
        raise click.ClickException("README.md is out of date: run `make chart-readme`")
    if not check:
        readme.write_text(after)


if __name__ == "__main__":
    main()
