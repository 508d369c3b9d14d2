"""A CSV file is sent, and comes back with the predictions."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.helpers import plainhttp
from tests.helpers.patience import PATIENCE_SECONDS
from tests.helpers.serving import Server
from tests.web.page.conftest import record

HEADER = "id,lat,long,depth,stations\n"
ROWS = 'a,-20,181,500,30\n"b, c",-21,182,90,60\n'

# A browser that was busy reads everything that has arrived as one piece.
SMALL_PIECES = """() => {
    const whole = window.fetch;
    const cut = () => new TransformStream({
        transform(piece, out) {
            for (let i = 0; i < piece.length; i += 65536) out.enqueue(piece.slice(i, i + 65536));
        },
    });
    window.fetch = async (...request) => {
        const answer = await whole(...request);
        return new Response(answer.body.pipeThrough(cut()), answer);
    };
}"""


def _direct(site: Server, text: str, **options: float | str) -> bytes:
    """The API's answer to the same table."""
    answer = plainhttp.post(
        f"{site.url}/predict",
        params={"extrapolated": "true", **options},
        content=text,
        headers={"Content-Type": "text/csv", "Accept": "text/csv"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200
    return answer.content


def _saved(page: Page, path: Path, tmp_path: Path) -> bytes:
    with page.expect_download() as download:
        page.set_input_files("#file", path)
    target = tmp_path / "saved.csv"
    download.value.save_as(target)
    return target.read_bytes()


def test_round_trip(page: Page, site: Server, tmp_path: Path) -> None:
    path = tmp_path / "quakes.csv"
    path.write_text(HEADER + ROWS)
    assert _saved(page, path, tmp_path) == _direct(site, HEADER + ROWS, interval=0.95)
    expect(page.locator("#summary")).to_have_text("2 rows done.")
    expect(page.locator("#save")).to_have_attribute("download", "quakes-predicted.csv")
    expect(page.locator("#preview td").nth(10)).to_have_text("b, c")


def test_without_the_band(page: Page, site: Server, tmp_path: Path) -> None:
    path = tmp_path / "quakes.csv"
    path.write_text(HEADER + ROWS)
    page.get_by_label("add the limits of the 95 % band").uncheck()
    assert _saved(page, path, tmp_path) == _direct(site, HEADER + ROWS)


def test_the_band_is_the_one_on_the_screen(page: Page, site: Server, tmp_path: Path) -> None:
    path = tmp_path / "quakes.csv"
    path.write_text(HEADER + ROWS)
    page.get_by_label("the true mean, without noise").check()
    for options in ({"interval": 0.95}, {}):
        page.get_by_label("add the limits of the 95 % band").set_checked(options != {})
        noisy = _direct(site, HEADER + ROWS, **options)
        without = _direct(site, HEADER + ROWS, noise="false", **options)
        assert _saved(page, path, tmp_path) == without != noisy


def test_a_compressed_table(page: Page, site: Server, tmp_path: Path) -> None:
    path = tmp_path / "quakes.csv.gz"
    path.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    assert _saved(page, path, tmp_path) == _direct(site, HEADER + ROWS, interval=0.95)
    expect(page.locator("#save")).to_have_attribute("download", "quakes-predicted.csv")


def _drop(page: Page, *names: str) -> None:
    transfer = page.evaluate_handle(
        """([text, names]) => {
            const transfer = new DataTransfer();
            for (const name of names) transfer.items.add(new File([text], name));
            return transfer;
        }""",
        [HEADER + ROWS, names],
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def test_a_dropped_table(page: Page) -> None:
    with page.expect_download() as download:
        _drop(page, "dropped.csv")
    assert download.value.suggested_filename == "dropped-predicted.csv"
    expect(page.locator("#one-file")).to_be_hidden()


def test_of_several_dropped_tables_one_is_taken(page: Page) -> None:
    for names, other in (("a.csv", "b.csv"), "one"), (("a.csv", "b.csv", "c.csv"), "2"):
        with page.expect_download() as download:
            _drop(page, *names)
        assert download.value.suggested_filename == "a-predicted.csv"
        expect(page.locator("#one-file")).to_have_text(
            f"One file at a time: this is a.csv. Add the other {other} when it is done."
        )
    with page.expect_download():
        _drop(page, "b.csv")
    expect(page.locator("#one-file")).to_be_hidden()


def test_a_drop_without_a_file_changes_nothing(page: Page) -> None:
    """An error in a script fails the test."""
    page.evaluate(
        """() => {
            const event = new DragEvent("drop", { cancelable: true });
            const dataTransfer = { types: ["Files"], files: [] };
            Object.defineProperty(event, "dataTransfer", { value: dataTransfer });
            dispatchEvent(event);
        }"""
    )
    expect(page.locator("#work")).to_be_hidden()


def test_the_example_can_be_sent_as_it_is(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.get_by_role("link", name="Download an example").click()
    path = tmp_path / "example.csv"
    download.value.save_as(path)
    rows = list(csv.DictReader(_saved(page, path, tmp_path).decode().splitlines()))
    assert len(rows) == 20
    assert {row["extrapolated"] for row in rows} == {"false"}


def test_a_bad_table_says_where(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"{HEADER}{ROWS}d,-20,181,deep,30\n")
    page.set_input_files("#file", path)
    problem = page.locator("#table-problem")
    expect(problem).to_have_text("line 4: depth is not a number: 'deep'")
    expect(page.locator("#work")).to_be_hidden()
    page.get_by_label("predict the good rows even if others are bad").check()
    with page.expect_download():
        page.set_input_files("#file", path)
    expect(problem).to_be_hidden()
    expect(page.locator("#summary")).to_have_text("3 rows done; 1 could not be read.")


def test_rows_outside_are_counted(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "outside.csv"
    path.write_text(f"{HEADER}a,-20,181,500,30\nb,-60,181,500,30\nc,-20,181,9999,30\n")
    _saved(page, path, tmp_path)
    expected = "3 rows done; 2 outside the training range."
    expect(page.locator("#summary")).to_have_text(expected)


def test_columns_of_the_table_are_not_the_servers(page: Page, tmp_path: Path) -> None:
    """Only the columns that the server adds count; it refuses a table that has one of them."""
    text = (
        "converged,outside,fault,lat,long,depth,stations\n"
        'true,true,"no, none",-20,181,500,30\n'
        "false,true,,-60,181,500,30\n"
        '"a,true,b",true,,-20,181,deep,30\n'
    )
    path = tmp_path / "marks.csv"
    for delimiter in ",;":
        rows = [_joined(row, delimiter) for row in csv.reader(text.splitlines())]
        path.write_text("\n".join(rows))
        page.get_by_label("predict the good rows even if others are bad").check()
        _saved(page, path, tmp_path)
        expected = "3 rows done; 1 outside the training range, 1 could not be read."
        expect(page.locator("#summary")).to_have_text(expected)
        page.get_by_label("predict the good rows even if others are bad").uncheck()
        path.write_text("\n".join(rows[:3]).replace("fault", "error"))
        _saved(page, path, tmp_path)
        expected = "2 rows done; 1 outside the training range."
        expect(page.locator("#summary")).to_have_text(expected)
        path.write_text("\n".join(rows[:3]).replace("fault", "extrapolated"))
        page.set_input_files("#file", path)
        expect(page.locator("#table-problem")).to_contain_text("columns 'extrapolated' already")


def _joined(row: list[str], delimiter: str) -> str:
    return delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row)


def test_a_newline_in_a_cell_ends_no_row(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(f'{HEADER}"first, ""\n\nsecond""",-20,181,500,30\nb,-20,181,500,30\n')
    _saved(page, path, tmp_path)
    expect(page.locator("#summary")).to_have_text("2 rows done.")
    rows = page.locator("#preview tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1).locator("td").first).to_have_text('first, " second"')
    expect(rows.nth(1).locator("td").last).to_have_text("false")


THREE_RECORDS = (
    "a\n1\n2",
    "a\r\n\r\n1\r\n2\r\n\r\n",
    'a,b\n"x\n""y""\n",1\n2,"z\n"\n',
    'disk\n3.5" disk\n5"" disk\n',
)

COUNT = """async (text) => {
    const { countRecords } = await import("/page/csvstream.js");
    return countRecords(new File([text], "a.csv"), new AbortController().signal);
}"""


def test_records_are_counted_as_the_server_reads_them(page: Page) -> None:
    for text in THREE_RECORDS:
        assert len([row for row in csv.reader(text.splitlines(keepends=True)) if row]) == 3
        assert page.evaluate(COUNT, text) == 3
    assert page.evaluate(COUNT, "\ufeffsep=;\r\na;b\r\n1;2\r\n3;4") == 3


def test_a_long_one_shows_its_progress(page: Page, site: Server, tmp_path: Path) -> None:
    rows = 20_000
    path = tmp_path / "long.csv"
    path.write_text(HEADER + "a,-20,181,500,30\n" * rows)
    page.evaluate(SMALL_PIECES)
    stages = record(page, "stage")
    assert _saved(page, path, tmp_path).count(b"\n") == rows + 1
    first, *counting = stages()
    assert first == "Sending long.csv (341 kB); the server checks it first …"
    matches = [re.fullmatch(r"([\d,]+)(?: of 20,000)? rows", stage) for stage in counting]
    counts = [int(match[1].replace(",", "")) for match in matches if match]
    assert len(counts) == len(counting)
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
    assert counts[-1] == rows
    expect(page.locator("#summary")).to_have_text("20,000 rows done.")


def test_it_can_be_cancelled(page: Page, tmp_path: Path) -> None:
    held: list[Route] = []
    page.route("**/predict?*", lambda route: held.append(route))
    path = tmp_path / "quakes.csv"
    path.write_text(HEADER + ROWS)
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#done")).to_be_hidden()
    expect(page.locator("#table-problem")).to_be_hidden()
    expect(page.locator("#say-table")).to_have_text("Cancelled")


def test_the_servers_reason_is_shown(page: Page, site: Server, tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    for content in ("", "lat,long\n1,2\n"):
        path.write_text(content)
        answer = plainhttp.post(
            f"{site.url}/predict", content=content, headers={"Content-Type": "text/csv"}
        )
        page.set_input_files("#file", path)
        expect(page.locator("#table-problem")).to_have_text(answer.json()["detail"])
