"""The options of a prediction: noise, intervals, derivatives, covariance, draws, marks."""

from __future__ import annotations

import csv
import io
from statistics import NormalDist

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.gpr import GPR
from service.model import FloatArray
from service.runtime.runtime import Runtime
from service.services.prediction import NUMBERS_PER_VALUE
from service.settings import Settings
from tests.helpers.toys import Sum

Names = tuple[str, ...]


@pytest.mark.parametrize("said", ["false", "0"])
def test_latent_variance(
    http: httpx.Client, gpr: GPR, X: FloatArray, names: Names, said: str
) -> None:
    params = {**dict(zip(names, X[0], strict=True)), "noise": said}
    P = gpr.predict(X[:1], noise=False)
    assert http.get("/predict", params=params).json() == dict(
        zip(("mean", "variance"), P[0].tolist(), strict=True)
    )


def test_options_in_json_and_in_the_query_mean_the_same(http: httpx.Client, X: FloatArray) -> None:
    points = X.tolist()
    inside = http.post("/predict", json={"points": points, "interval": 0.9, "noise": False})
    outside = http.post("/predict?interval=0.9&noise=false", json={"points": points})
    assert inside.json() == outside.json()


def test_options_of_the_query_add_to_those_of_json(http: httpx.Client, X: FloatArray) -> None:
    body = {"points": X.tolist(), "interval": 0.9}
    divided = http.post("/predict?noise=false", json=body).json()
    assert divided == http.post("/predict", json={**body, "noise": False}).json()
    assert {"lower", "upper"} <= divided.keys()


def test_interval(http: httpx.Client, X: FloatArray, P: FloatArray) -> None:
    said = http.post("/predict", json={"points": X.tolist(), "interval": 0.95}).json()
    z = NormalDist().inv_cdf(0.975)
    np.testing.assert_allclose(said["lower"], P[:, 0] - z * np.sqrt(P[:, 1]), rtol=1e-12)
    np.testing.assert_allclose(said["upper"], P[:, 0] + z * np.sqrt(P[:, 1]), rtol=1e-12)


def test_gradient(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    said = http.post("/predict", json={"points": X.tolist(), "gradient": True}).json()
    G = gpr.gradient(X)
    assert said["gradient"]["mean"] == G[:, 0].tolist()
    assert said["gradient"]["variance"] == G[:, 1].tolist()


def test_gradient_of_one_point(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    said = http.post("/predict", json={"points": X[0].tolist(), "gradient": True}).json()
    assert said["gradient"]["mean"] == gpr.gradient(X[:1])[0, 0].tolist()


def test_covariance(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    said = http.post("/predict", json={"points": X.tolist(), "covariance": True}).json()
    np.testing.assert_allclose(said["covariance"], gpr.covariance(X), rtol=1e-12)


def test_covariance_of_one_point_is_a_number(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    said = http.post("/predict", json={"points": X[0].tolist(), "covariance": True}).json()
    assert said["covariance"] == pytest.approx(said["variance"], rel=1e-12)


def test_samples_are_those_of_the_model(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    ask = {"samples": 3, "seed": 7, "points": X.tolist()}
    exact = http.post("/predict", json=ask).json()["samples"]
    np.testing.assert_allclose(exact, gpr.samples(X, 3, 7), rtol=1e-9)


def test_many_points_get_draws_as_functions(http: httpx.Client, gpr: GPR, X: FloatArray) -> None:
    many = np.resize(X, (gpr.exact_draws + 1, X.shape[1]))
    answer = http.post("/predict", json={"points": many.tolist(), "samples": 2}).json()["samples"]
    np.testing.assert_allclose(answer, gpr.samples(many, 2, 0, pathwise=True), rtol=1e-9)


def test_pathwise_samples_do_not_depend_on_the_cut(
    http: httpx.Client, gpr: GPR, X: FloatArray
) -> None:
    ask = {"samples": 3, "seed": 7, "pathwise": True}
    whole = http.post("/predict", json={"points": X.tolist(), **ask}).json()["samples"]
    parts = [
        http.post("/predict", json={"points": part.tolist(), **ask}).json()["samples"]
        for part in np.split(X, [5, 6])
    ]
    np.testing.assert_allclose(np.hstack(parts), whole, rtol=1e-9)
    np.testing.assert_allclose(whole, gpr.samples(X, 3, 7, pathwise=True), rtol=1e-12)


def test_pathwise_samples_are_limited_at_one_point(
    http: httpx.Client, gpr: GPR, X: FloatArray, names: Names
) -> None:
    """Each takes thousands of numbers, at however few points."""
    most = NUMBERS_PER_VALUE * Settings().max_sample_values // gpr.draw_size
    point = dict(zip(names, X[0].tolist(), strict=True))
    ask = {**point, "samples": most + 1, "seed": 7}
    refused = http.get("/predict", params={**ask, "pathwise": "true"})
    assert refused.status_code == 413
    assert refused.json()["limit"] == most
    assert f"more than {most}, the most pathwise" in refused.json()["detail"]
    assert len(http.get("/predict", params=ask).json()["samples"]) == most + 1  # exact ones


def test_the_most_pathwise_samples_are_answered(X: FloatArray, names: Names) -> None:
    client = create_app(Runtime(Settings(max_sample_values=1000))).test_client()
    point = dict(zip(names, X[0].tolist(), strict=True))
    ask = {**point, "samples": 9999 // 10, "pathwise": True}
    most = client.post("/predict", json=ask).get_json()["limit"]
    said = client.post("/predict", json={**ask, "samples": most}).get_json()
    assert len(said["samples"]) == most


class Functions(Sum):
    """Draws 0, in a way that takes a tenth of what a request with the defaults may take."""

    draw_size = NUMBERS_PER_VALUE * Settings().max_sample_values // 10

    def samples(
        self, X: FloatArray, count: int, seed: int, *, pathwise: bool = False
    ) -> FloatArray:
        return np.zeros((count, len(X)))


@pytest.mark.parametrize(("points", "samples", "status"), [(1000, 11, 200), (1001, 11, 413)])
def test_draws_of_many_points_are_limited_like_pathwise_ones(
    points: int, samples: int, status: int
) -> None:
    model = f"{Functions.__module__}:{Functions.__name__}"
    client = create_app(Runtime(Settings(model_class=model))).test_client()
    table = "lat,long,depth,stations\n" + "1,2,3,4\n" * points
    answer = client.post(f"/predict?samples={samples}", data=table, content_type="text/csv")
    assert answer.status_code == status
    if status == 413:
        assert "the most of more than 1000 points" in answer.get_json()["detail"]


def test_samples_change_with_the_seed(http: httpx.Client, X: FloatArray) -> None:
    draws = [
        http.post("/predict", json={"points": X.tolist(), "samples": 1, "seed": seed}).json()
        for seed in (1, 2)
    ]
    assert draws[0]["samples"] != draws[1]["samples"]


def test_a_point_outside_the_training_range_is_marked(
    http: httpx.Client, X: FloatArray, names: Names
) -> None:
    outside = {**dict(zip(names, X[0].tolist(), strict=True)), names[0]: 80.0}
    assert http.post("/predict", json=outside).json()["extrapolated"] is True
    points = [X[0].tolist(), list(outside.values())]
    said = http.post("/predict", json={"points": points}).json()
    assert said["extrapolated"] == [False, True]
    assert "extrapolated" not in http.post("/predict", json={"points": X.tolist()}).json()


def test_all_columns_of_a_table(http: httpx.Client, X: FloatArray, names: Names) -> None:
    ask = "interval=0.5&gradient=true&samples=2&seed=1&extrapolated=true"
    body = {"points": X.tolist()}
    table = http.post(f"/predict?{ask}", json=body, headers={"Accept": "text/csv"}).text
    header, *rows = csv.reader(io.StringIO(table))
    derivatives = [f"{part}_gradient_{name}" for part in ("mean", "variance") for name in names]
    numbers = ["mean", "variance", "lower", "upper", *derivatives, "sample_1", "sample_2"]
    assert header == [*names, *numbers, "extrapolated"]
    assert {row[-1] for row in rows} == {"false"}
    ask = ask.replace("&extrapolated=true", "")
    answer = http.post(f"/predict?{ask}", json=body, headers={"Accept": "application/x-npy"})
    array = np.load(io.BytesIO(answer.content))
    assert array.shape == (len(X), len(numbers))
    assert [[float(cell) for cell in row[4:-1]] for row in rows] == array.tolist()


def test_ndjson_nests_what_json_nests(http: httpx.Client, X: FloatArray) -> None:
    ask = "interval=0.5&gradient=true&samples=2&seed=1"
    headers = {"Accept": "application/x-ndjson"}
    lines = http.post(f"/predict?{ask}", json={"points": X.tolist()}, headers=headers).text
    first = httpx.Response(200, text=lines.partition("\n")[0]).json()
    one = http.post(f"/predict?{ask}", json={"points": X[0].tolist()}).json()
    # Derivatives promise no bits, unlike means and variances.
    gradients = first.pop("gradient"), one.pop("gradient")
    for part in ("mean", "variance"):
        assert gradients[0][part] == pytest.approx(gradients[1][part], rel=1e-9)
    samples = first.pop("samples"), one.pop("samples")
    assert samples[0] == pytest.approx(samples[1], rel=1e-9)
    assert first == one
