"""Which rows of a table train a model, and what data are refused, with the line and the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from service.gpr.trainingdata import TrainingData, TrainingOptions
from service.jobs.inputs import training_table
from service.jobs.specs import Training
from service.jobs.trainingrows import training_data
from service.services.errors import Problem
from service.services.trainingjson import table_of_json
from service.services.trainingtables import table_of_csv
from tests.commands.commandline import run

GOOD = "\n".join(f"{i},{i % 7},{i % 5}" for i in range(30)) + "\n"
DROP = "To leave such rows out: drop_missing=true (--drop-missing)."
OUT = "To leave columns out: leave_out=b (--leave-out b)."
BAD_DATA = {
    "no rows": ("", "the table is empty"),
    "header only": ("a,b,y\n", "too few rows: 0"),
    "few rows": ("a,b,y\n1,2,3\n2,3,4\n", "too few rows: 2"),
    "letters": (
        "a,b,y\n1,2,3\n1,x,3\n" + GOOD,
        f"line 3: b is not a number: 'x'. {DROP} {OUT}",
    ),
    "NaN": ("a,b,y\n1,2,nan\n" + GOOD, f"line 2: y is missing: 'nan'. {DROP}\n"),
    "infinity": ("a,b,y\n1,1e999,1\n" + GOOD, "line 2: b is not finite"),
    "empty cell": ("a,b,y\n1,,1\n" + GOOD, f"line 2: b is empty. {DROP} {OUT}"),
    "question mark": ("a,b,y\n1, ?,1\n" + GOOD, "line 2: b is missing: ' ?'."),
    "underscore": ("a,b,y\n1,1_0,1\n" + GOOD, "line 2: b is not a number: '1_0'."),
    "ragged": ("a,b,y\n1,2\n" + GOOD, "line 2: 2 cells, the table has 3 columns"),
    "constant output": ("a,b,y\n" + "1,2,3\n" * 30, "'y' is constant"),
    "no target": ("a,b,z\n" + GOOD, "line 1: column 'y' is missing; columns: a, b, z"),
    "target twice": ("a,y,y\n" + GOOD, "column 'y' appears twice"),
    "target only": ("y\n" + "1\n" * 30, "no input column"),
    "many reasons": (
        "a,b,y\n" + "x,1,1\n" * 15 + GOOD,
        "line 2: a is not a number: 'x' (also line 3, line 4, line 5, line 6, line 7 and 9 more).",
    ),
    "a quoted line break": (
        'a,b,note,y\n1,2,"two\nlines",3\n1,x,,3\n' + GOOD.replace("\n", ",0\n"),
        "line 4: b is not a number: 'x'",
    ),
    "blank lines": ("\n\na,b,y\n\n1,x,3\n" + GOOD, "line 5: b is not a number: 'x'"),
    "an open quote": ('a,b,y\n1,"2,3\n' + GOOD, "a quote opened on line 2 may not be closed"),
    "a name that is reserved": ("noise,b,y\n" + GOOD, "feature name 'noise' is reserved"),
}


@pytest.mark.parametrize("what", BAD_DATA)
def test_data_that_cannot_train(what: str, tmp_path: Path) -> None:
    text, reason = BAD_DATA[what]
    path = tmp_path / "data.csv"
    path.write_text(text)
    done = run("train", path, "--target", "y")
    assert done.exit_code == 1
    assert done.output.startswith("Error: data.csv: ")
    assert reason in done.output


def test_data_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("a,b,y\n1,2,3\n".encode("utf-16"))
    assert "not UTF-8" in run("train", path, "--target", "y").output


def test_a_broken_gzip_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "data.csv.gz"
    broken.write_bytes(b"\x1f\x8b no more")
    done = run("train", broken, "--target", "y")
    assert done.exit_code == 1
    assert "data.csv.gz: the body is not valid gzip" in done.output


def test_an_upload_that_looks_gzipped_gets_a_hint() -> None:
    with pytest.raises(Problem, match="looks gzipped: send 'Content-Encoding: gzip'") as refused:
        training_table(b"\x1f\x8b\x08", Training(target="y"))
    assert refused.value.status == 400


PEOPLE = "name,sex,age,cabin,fare\n" + "".join(
    f"P{i},{'male' if i % 3 else 'female'},{20 + i}.5,{i % 2 + 1}.0,{7 + i % 4}\n"
    for i in range(20)
)


def read(text: str | bytes, **options: Any) -> TrainingData:
    data = text.encode() if isinstance(text, str) else text
    return training_data(table_of_csv(data), TrainingOptions(**options))


def refused(text: str | bytes, **options: Any) -> Problem:
    with pytest.raises(Problem) as refused:
        read(text, **options)
    return refused.value


def test_words_become_codes() -> None:
    data = read(PEOPLE, leave_out=("name",), categorical=("sex", "cabin"))
    assert data.feature_names == ("sex", "age", "cabin")
    assert data.output_name == "fare"
    assert data.categories == {0: ("female", "male"), 2: ("1", "2")}
    assert data.X[:4].tolist() == [[0, 20.5, 0], [1, 21.5, 1], [1, 22.5, 0], [0, 23.5, 1]]
    assert data.X.flags.c_contiguous
    assert (data.noise, data.dropped) == (None, 0)


def test_categories_that_are_numbers_are_sorted_as_numbers() -> None:
    text = "size,y\n" + "".join(f" {4 + 2 * (i % 5)}.0,{i}\n" for i in range(20))
    assert read(text, categorical=("size",)).categories == {0: ("4", "6", "8", "10", "12")}


def test_all_text_columns_are_told_at_once() -> None:
    problem = refused(PEOPLE)
    assert problem.where == {"line": 2, "column": "name"}
    assert problem.detail == (
        "line 2: name is not a number: 'P0' (also line 3, line 4, line 5, line 6, line 7 and 14 "
        "more); line 2: sex is not a number: 'female' (also line 3, line 4, line 5, line 6, line 7 "
        "and 14 more). To use words as categories: categorical=name,sex (--categorical name,sex). "
        "To leave columns out: leave_out=name,sex (--leave-out name,sex)."
    )


MISSING = ["", " ", "NA", "n/a", "NaN", "null", "?", "#N/A"]


@pytest.mark.parametrize("cell", MISSING)
@pytest.mark.parametrize("column", [1, 2, 4])
def test_rows_with_missing_cells_are_left_out(cell: str, column: int) -> None:
    lines = PEOPLE.splitlines()
    cells = lines[3].split(",")
    cells[column] = cell
    lines[3] = ",".join(cells)
    options: dict[str, Any] = {"leave_out": ("name",), "categorical": ("sex",)}
    problem = refused("\n".join(lines), **options)
    name = lines[0].split(",")[column]
    assert problem.where == {"line": 4, "column": name}
    assert problem.detail.startswith(f"line 4: {name} is {'missing' if cell.strip() else 'empty'}")
    assert "drop_missing=true (--drop-missing)" in problem.detail
    data = read("\n".join(lines), **options, drop_missing=True)
    assert (len(data.y), data.dropped) == (19, 1)
    assert data.X[2].tolist() == [0, 23.5, 2]


def test_missing_cells_of_unused_columns_do_not_matter() -> None:
    assert read(PEOPLE.replace("P3", ""), features=("age",), target="fare").dropped == 0


def test_too_few_rows_are_left() -> None:
    problem = refused(PEOPLE, drop_missing=True, categorical=("sex",))
    assert problem.detail.startswith(
        "too few rows: 0 of 20 have every cell; at least 10 are required. line 2: name is not a num"
    )
    assert "(--leave-out name)" in problem.detail


WRONG_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"leave_out": ("colour",)},
        "line 1: column 'colour' is missing; columns: name, sex,",
    ),
    "left out, but used": ({"leave_out": ("age",), "features": ("age",)}, "'age' is left out, but"),
    "left out target": ({"leave_out": ("age",), "target": "age"}, "'age' is left out, but used"),
    "target as category": ({"categorical": ("fare",)}, "'fare' is not an input, so not cat"),
    "noise as input": (
        {"features": ("age", "cabin"), "noise_column": "cabin"},
        "'cabin' is named twice among the inputs, the target and the noise",
    ),
    "a column with two roles": (
        {"features": ("age", "fare")},
        "'fare' is named twice among the inputs and the target",
    ),
    "an input twice": ({"features": ("age", "age")}, "'age' is named twice"),
    "no inputs": ({"leave_out": ("name", "sex", "age", "cabin")}, "there is no input column"),
}


@pytest.mark.parametrize("what", WRONG_OPTIONS)
def test_options_that_do_not_fit(what: str) -> None:
    options, reason = WRONG_OPTIONS[what]
    assert reason in refused(PEOPLE, **options).detail


def test_words_beside_missing_cells() -> None:
    lines = PEOPLE.splitlines()
    lines[3] = lines[3].replace("22.5", "NA")
    detail = refused("\n".join(lines), leave_out=("name",)).detail
    assert detail.endswith(
        "line 4: age is missing: 'NA'. To use words as categories: categorical=sex (--categorical "
        "sex). To leave such rows out: drop_missing=true (--drop-missing). To leave columns out: "
        "leave_out=sex,age (--leave-out sex,age)."
    )
    detail = refused(PEOPLE, target="sex", features=("age",)).detail
    assert detail.endswith("The output must be a number: choose another target.")


def test_categories_of_one_word_or_too_many() -> None:
    text = "who,what,y\n" + "".join(f"P{i},one,{i}\n" for i in range(60))
    detail = refused(text, categorical=("who", "what")).detail
    assert detail == (
        "who has 60 different values, and a categorical column may have 50: leave it out: "
        "leave_out=who (--leave-out who)"
    )
    detail = refused(text.replace("P", ""), categorical=("who",), leave_out=("what",)).detail
    assert detail == (
        "who has 60 different values, and a categorical column may have 50: remove it from "
        "`categorical` to use it as a number, or leave it out: leave_out=who (--leave-out who)"
    )
    detail = refused(text, categorical=("what",), leave_out=("who",)).detail
    assert detail.startswith("what has a single value, 'one': leave it out")
    assert "categorical=what (" in refused(text).detail  # not who, which has too many


def test_a_column_of_noise() -> None:
    text = "x,s,y\n" + "".join(f"{i},0.{i},{i % 3}\n" for i in range(12))
    data = read(text, noise_column="s")
    assert data.feature_names == ("x",)
    assert data.noise is not None
    assert data.noise.tolist() == [float(f"0.{i}") for i in range(12)]
    problem = refused(text.replace("3,0.3,", "3,-0.3,"), noise_column="s")
    assert problem.detail == "line 5: s is a variance, so not negative: -0.3"
    assert problem.where == {"line": 5, "column": "s"}
    assert len(read(text.replace("0.3,", ",", 1), noise_column="s", drop_missing=True).y) == 11


def test_tables_as_people_save_them() -> None:
    rows = [(f"{i / 8:.3f}", f"{i * i}", "no", f"{-i}e-1") for i in range(12)]
    plain = "\n".join(["a,b,note,y", *map(",".join, rows)]) + "\n"
    expected = read(plain, leave_out=("note",))
    written: dict[str, str | bytes] = {
        "semicolons, decimal commas": plain.replace(",", ";").replace(".", ","),
        "tabs": plain.replace(",", "\t"),
        "BOM, CRLF": "\ufeff" + plain.replace("\n", "\r\n"),
        "quotes, blanks": "\n".join(
            ", ".join(f'"{cell}"' for cell in line.split(",")) for line in plain.splitlines()
        ).replace(', "', ',"'),
        "Latin-1 in a column that is not used": plain.replace("no,", "nö,").encode("latin-1"),
        "row names": "\n".join(f"{i},{line}" for i, line in enumerate(plain.splitlines())).replace(
            "0,a", ",a", 1
        ),
    }
    for what, text in written.items():
        data = read(text, leave_out=("note",))
        assert data.feature_names == ("a", "b"), what
        assert np.array_equal(data.X, expected.X), what
        assert np.array_equal(data.y, expected.y), what


def test_decimal_commas_among_points_are_not_guessed() -> None:
    text = "a;y\n1,5;1\n2.5;2\n" + "3.5;0\n" * 12
    assert refused(text).detail.startswith(
        "line 2: a is not a number: '1,5'; write decimals with a point, or say decimal=comma"
    )


def test_words_that_are_not_utf8() -> None:
    text = PEOPLE.replace("female", "männlich").encode("latin-1")
    detail = refused(text, leave_out=("name",), categorical=("sex",)).detail
    assert detail.startswith("line 2: sex is not UTF-8: 'männlich'")
    text = PEOPLE.replace("age", "Größe").encode("latin-1")
    assert "the column 'Größe' is not UTF-8: save the" in refused(text).detail


def test_json_is_read_in_the_same_way() -> None:
    header, *lines = PEOPLE.splitlines()
    cells = zip(*(line.split(",") for line in lines), strict=True)
    columns = dict(zip(header.split(","), cells, strict=True))
    body: dict[str, Any] = {
        "data": {
            "name": columns["name"],
            "sex": [*columns["sex"][:-1], None],
            "age": [float(cell) for cell in columns["age"]],
            "cabin": [int(float(cell)) for cell in columns["cabin"]],
            "fare": [float(cell) for cell in columns["fare"]],
        }
    }
    table, _ = table_of_json(msgspec.json.encode(body))
    options = TrainingOptions(
        leave_out=("name",), categorical=("sex", "cabin"), drop_missing=True, target="fare"
    )
    data = training_data(table, options)
    expected = read(PEOPLE, leave_out=("name",), categorical=("sex", "cabin"))
    assert (data.categories, data.dropped) == (expected.categories, 1)
    assert np.array_equal(data.X, expected.X[:-1])
    again = training_data(table_of_csv(table.data), options)
    assert np.array_equal(again.X, data.X)
    assert again.sha256 == data.sha256
    with pytest.raises(Problem) as refused:
        training_data(table, TrainingOptions(categorical=("sex",)))
    assert refused.value.where == {"path": "$.data.name[0]"}
    assert "$.data.sex[19]: sex is empty" in refused.value.detail
