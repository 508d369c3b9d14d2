"""The delays of a scale-up, measured from made-up rows and pods."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from loadtest import delays, shapes, timeline
from loadtest.samples import Pod, Sample
from loadtest.seconds import Second

SHAPE = shapes.steps([5, 200], 40)


def samples(decision: int, ready: int, metric: int) -> list[Sample]:
    return [
        Sample(
            time=second + 0.3,
            desired=1 if second < decision else 4,
            ready=1 if second < ready else 4,
            pods=Counter(Ready=1, Pending=3 if decision <= second < ready else 0),
            metrics={"load": (5.0 if second < metric else 200.0, 80.0), "cpu": (10.0, 70.0)},
        )
        for second in range(40)
    ]


def test_the_parts_add_up() -> None:
    rows = timeline.rows(SHAPE, {}, samples(decision=29, ready=33, metric=26))
    pods = [Pod("old", -10.0, -5.0), Pod("b", 29.4, 33.5), Pod("a", 29.2, 33.1)]
    found = delays.measure(SHAPE, rows, pods)
    assert (found.step, found.metric, found.decision, found.ready) == (20, 26, 29, 33.1)
    *parts, total = found.parts().values()
    assert sum(part for part in parts if part) == pytest.approx(total)
    assert "load step → first new pod ready   13.1 s" in str(found)


def test_a_metric_seen_after_the_decision_counts_from_the_decision() -> None:
    rows = timeline.rows(SHAPE, {}, samples(decision=25, ready=30, metric=27))
    assert delays.measure(SHAPE, rows, []).metric == 25


def test_delays_are_none_without_a_scale_up() -> None:
    rows = timeline.rows(SHAPE, {}, samples(decision=99, ready=99, metric=99))
    found = delays.measure(SHAPE, rows, [Pod("old", -1.0, 0.0)])
    assert (found.metric, found.decision, found.ready) == (None, None, None)
    assert set(found.parts().values()) == {None}


def test_the_step_of_a_ramp_is_its_start() -> None:
    assert delays.step_of(shapes.ramp(5, 100, 60)) == 0
    assert delays.step_of(shapes.steps([1, 50, 10, 30], 40)) == 10


def test_the_csv_has_one_row_per_second(tmp_path: Path) -> None:
    second = Second(Counter(ok=3, Timeout=1), Counter({1.0: 2, 250.0: 2}))
    rows = timeline.rows(SHAPE, {7: second}, samples(25, 30, 24))
    timeline.write_csv(tmp_path / "run.csv", rows)
    header, *lines = (tmp_path / "run.csv").read_text().splitlines()
    assert header.startswith("second,offered,served,errors,p50_ms,p99_ms,desired,ready")
    assert len(lines) == 40
    assert lines[7] == "7,5.0,3,1,1.0,250.0,1,1,0,0,cpu,10.0,70.0"
    assert lines[26].endswith("4,1,3,0,load,200.0,80.0")


def test_replicas_are_none_without_a_cluster() -> None:
    assert {row.desired for row in timeline.rows(SHAPE, {}, [])} == {None}
