"""CSV tables, of points and of training data."""

from __future__ import annotations

import io
from random import Random

import msgspec
import numpy as np

from service.jobs.inputs import checked_training_data
from service.jobs.specs import Training
from service.model import FloatArray
from service.services.features import features_of
from service.services.options import Options
from service.services.tables import Place, Table
from service.services.trainingtables import table_of_csv
from tests.fuzz import models
from tests.fuzz.answers import MOST_POINTS, ROWS, answer, reader, variant
from tests.fuzz.running import Reader, Wrong

_OPTIONS = (
    Options(),
    Options(on_bad_row="nan"),
    Options(interval=0.9, extrapolated=True),
    Options(gradient=True, on_bad_row="nan", extrapolated=True),
    Options(samples=2),
    Options(on_bad_row="drop"),
    Options(covariance=True, on_bad_row="nan"),
)
_WORDS = (
    b"lat", b"long", b"depth", b"stations", b"mean", b"variance", b"error", b"wt", b"gear", b"automatic", b'"manual, 5 gears"',
    b"4.0", "é".encode(), b"a;b;c", b"\t", b'""', b"NA", b"N/A", b"nan", b"-20,181,500,30\n", b"\r", b"\n", "−5".encode(),
    "1,5".encode("utf-16"), b"1;5", b"TRUE", b",,,,",
)  # fmt: skip
_POINTS = (
    b"lat,long,depth,stations\n-20,181,500,30\n-21.5,180,100,40\n",
    b"-20,181,500,30\n-20,181,500,31\n",
    b"lat;long;depth;stations\n-20;181;500;30\n",
    b"\xef\xbb\xbfid\tlat\tlong\tdepth\tstations\r\na\t-20\t181\t500\t30\r\n",
    b'"lat","long","depth","stations","note"\n"-20","181","500","30","a ""b""\nc"\n',
    b",lat,long,depth,stations\n0,-20,181,500,30\n1,-20,181,500,30\n",
    b"lat,long,depth,stations,mean,variance\n-20,181,500,30,4.5,0.1\n",
    b"\n\nstations,depth,long,lat\n" + b"30,500,181,-20\n" * 11,
    b"lat,long,depth,stations\n1,2,x,4\n1,2,3\n,,,\n",
    b"lat,long,depth,stations\n" + b"-20.12345678,181.12345678,500.125,30.25\n" * 9,
    "lat,long,depth,stations\n-20,181,500,30\n".encode("utf-16"),
    b"wt,gear\n2.5,automatic\n3,\"manual, 5 gears\"\n4,4.0\n5,\xc3\xa9\n",
    b"gear;wt\nautomatic;1\n4;2\n",
    b"wt\tgear\n1\tsemi\n",
)  # fmt: skip


def points() -> Reader:
    """Tables of points, read as a request, and in parts as a job."""
    return Reader(_read_points, _POINTS, _WORDS, _table)


def _read_points(data: bytes) -> str:
    number = variant(data)
    model = models.words() if b"wt" in data[:200] else models.numbers()
    options = _OPTIONS[number // 7 % len(_OPTIONS)]
    source = reader(model).table(io.BytesIO(data), options, counted=number % 4 == 2)
    said = answer(model, source, options, number)
    if options.on_bad_row != "drop":  # a part may then be empty
        _compare_parts(data, options)
    return said


def _compare_parts(data: bytes, options: Options) -> None:
    """Raise `Wrong` unless parts of a table, as a job reads them, are the whole table."""
    features = features_of(models.words() if b"wt" in data[:200] else models.numbers())
    table = Table(io.BytesIO(data), features, options)
    whole = [chunk.X for chunk in table.chunks(ROWS, MOST_POINTS)]
    cut = Table(io.BytesIO(data), features, options, count_bytes=True)
    parts: list[FloatArray] = []
    for part in cut.cuts(ROWS, MOST_POINTS):
        place = None
        if part.start or part.lines:
            place = Place(cut.columns, cut.delimiter, cut.commas, part.lines)
        text = io.BytesIO(data[part.start : part.stop])
        again = Table(text, features, options, place=place)
        parts += [chunk.X for chunk in again.chunks(ROWS, MOST_POINTS)]
    if not np.array_equal(np.concatenate(whole), np.concatenate(parts)):
        raise Wrong("the parts of the table are not the whole")


_TRAININGS = (
    Training(),
    Training(drop_missing=True),
    Training(target="y", features=("a", "b")),
    Training(categorical=("b",), drop_missing=True),
    Training(leave_out=("b",), noise_column="a", drop_missing=True),
    Training(noise="none", kernel="Matern52 + Linear", mean="linear", inducing=3),
)
_ROWS = b"".join(b"%d,%d.5,%d\n" % (i, i * i % 7, i % 5) for i in range(14))
_TABLES = (
    b"a,b,y\n" + _ROWS,
    b'"a";"b";"y"\n' + _ROWS.replace(b",", b";"),
    b"a\tb\ty\r\n" + _ROWS.replace(b",", b"\t").replace(b"\n", b"\r\n"),
    b"a,b,y\n" + _ROWS.replace(b"1.5", b"red").replace(b"2.5", b"blue"),
    b"a,b,y\n" + _ROWS + b"NA,1,2\n,,\n1,?,3\n",
    b"a;b;y\n" + _ROWS.replace(b",", b";").replace(b".", b","),
    b"\xef\xbb\xbf,a,b,y\n" + b"".join(b"%d,%s\n" % (i, r) for i, r in enumerate(_ROWS.split())),
    _ROWS,
    ("a,b,y\n" + _ROWS.decode()).encode("utf-16"),
)


def trainings() -> Reader:
    """Tables of training data, up to the arrays that train a model."""
    return Reader(_read_training, _TABLES, (*_WORDS, b"a", b"b", b"y", b"red"), _table)


def _read_training(data: bytes) -> str:
    spec = _TRAININGS[variant(data) % len(_TRAININGS)]
    rows = checked_training_data(table_of_csv(data), spec)
    check_rows(rows.X, rows.y)
    msgspec.json.encode(rows.feature_names)
    return "trains a model"


def check_rows(X: FloatArray, y: FloatArray) -> None:
    """Raise `Wrong` unless all numbers of a training are finite."""
    if not (np.isfinite(X).all() and np.isfinite(y).all() and len(X) == len(y)):
        raise Wrong("training data are not finite")


def _table(random: Random) -> bytes:
    """A table with one or two things that real ones have: quotes, other delimiters, bad cells."""
    delimiter, end = random.choice(",,,;\t|"), random.choice(("\n", "\n", "\r\n", "\r"))
    names = random.choice((["lat", "long", "depth", "stations"], ["wt", "gear"], ["a", "b", "y"]))
    extra = random.choice(([], [], [], [""], ["id"], ["mean"], ["a b"], ["é"], ["x\ny"], names[:1]))
    names = random.sample(names + extra, len(names) + len(extra))
    lines = [names] if random.random() < 0.8 else []
    for _ in range(random.choice((0, 1, 2, 5, 9, 14))):
        lines.append([_cell(random) for _ in names])
    if lines and random.random() < 0.2:
        random.choice(lines).append(_cell(random))
    quoted = random.random() < 0.2
    text = end.join(
        delimiter.join(
            '"' + c.replace('"', '""') + '"' if quoted or delimiter in c else c for c in line
        )
        for line in lines
    )
    coding = random.choice(("utf-8",) * 6 + ("utf-8-sig", "latin-1", "utf-16"))
    return (text + end * random.randrange(3)).encode(coding, "replace")


def _cell(random: Random) -> str:
    if random.random() < 0.9:
        return f"{random.uniform(-200, 200):.{random.randrange(5)}f}"
    return random.choice(
        (
            "",
            " ",
            "1e999",
            "nan",
            "-inf",
            "1_0",
            "1,5",
            "1.500,5",
            "0x1f",
            "NA",
            "x",
            '"',
            "automatic",
            "4",
            "٣",
            "−1",
            "1e308",
            "a\nb",
            "TRUE",
            "1\xa0",
            "\x85",
            "\u2028",
            "\x00",
        )
    )
