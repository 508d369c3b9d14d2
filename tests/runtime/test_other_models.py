"""The interface serves models that are not Gaussian processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.polynomial import PolynomialRegression
from service.commands.predicting import predict_table
from service.model import ModelFileError, Unsupported
from service.services.options import PLAIN


@pytest.fixture(scope="module")
def model() -> PolynomialRegression:
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (200, 2))
    y = 1 + X[:, 0] - 2 * X[:, 0] * X[:, 1] + 0.1 * rng.standard_normal(200)
    return PolynomialRegression(("a", "b")).fit(X, y)


def test_it_predicts(model: PolynomialRegression) -> None:
    mean, variance = model.predict(np.array([[0.5, 0.5], [0.0, 0.0]])).T
    np.testing.assert_allclose(mean, [1.0, 1.0], atol=0.1)
    assert np.all((variance > 0.005) & (variance < 0.02))
    assert not PolynomialRegression(("a",)).trained


def test_saved_and_loaded(model: PolynomialRegression, tmp_path: Path) -> None:
    path = tmp_path / "polynomial.npz"
    model.save(path)
    again = PolynomialRegression.load(path)
    X = np.random.default_rng(1).uniform(-1, 1, (300, 2))
    assert np.array_equal(again.predict(X), model.predict(X))
    assert len(again.description.version) == 12
    path.write_bytes(b"nothing")
    with pytest.raises(ModelFileError):
        PolynomialRegression.load(path)


def test_a_row_has_the_same_bits_alone(model: PolynomialRegression) -> None:
    X = np.random.default_rng(2).uniform(-1, 1, (300, 2))
    alone = np.vstack([model.predict(X[i : i + 1]) for i in range(len(X))])
    assert np.array_equal(model.predict(X), alone)


def test_options_it_lacks(model: PolynomialRegression) -> None:
    X = np.zeros((1, 2))
    for call in (model.gradient, model.hessian, model.covariance):
        with pytest.raises(Unsupported, match="PolynomialRegression has no"):
            call(X)
    with pytest.raises(Unsupported, match="samples"):
        model.samples(X, 1, 0)


def test_it_answers_tables(model: PolynomialRegression, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("b,a\n0.5,0.25\n\n0.1,0.2\n")
    with source.open("rb") as reading:
        target.write_bytes(b"".join(predict_table(model, reading, PLAIN)))
    assert len(target.read_text().splitlines()) == 3
    mean = float(target.read_text().splitlines()[1].split(",")[2])
    assert mean == model.predict(np.array([[0.25, 0.5]]))[0, 0]
