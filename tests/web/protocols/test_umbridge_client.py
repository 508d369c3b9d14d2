"""The `umbridge` package's client, unmodified."""

from __future__ import annotations

import httpx
import numpy as np
import pytest
import umbridge
from umbridge.emcee import UmbridgeLogProb

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.serving import Server
from tests.web.protocols.analytic import Analytic

A = [0.5, -0.25, 0.75, 0.125]
B = [-1.0, 0.5, 0.25, 2.0]
SENS = [2.0, -3.0]
VEC = [1.0, -2.0, 0.5, 3.0]


def test_models_and_sizes(server: Server) -> None:
    assert umbridge.supported_models(server.url) == ["quakes", "quakes-mean", "quakes-variance"]
    model = umbridge.HTTPModel(server.url, "quakes")
    assert model.supports_evaluate()
    assert (model.get_input_sizes(), model.get_output_sizes()) == ([4], [2])
    assert (model.get_input_sizes({"n": 7}), model.get_output_sizes({"n": 7})) == ([28], [14])
    one = umbridge.HTTPModel(server.url, "quakes-mean")
    assert one.get_output_sizes({"n": 7}) == [7]


def test_the_same_number_in_every_dialect(
    server: Server, http: httpx.Client, point: list[float], names: tuple[str, ...]
) -> None:
    native = http.get("/predict", params=dict(zip(names, point, strict=True))).json()
    answers = [
        umbridge.HTTPModel(server.url, f"quakes{suffix}")([point])
        for suffix in ("", "-mean", "-variance")
    ]
    mean, variance = native["mean"], native["variance"]
    assert answers == [[[mean, variance]], [[mean]], [[variance]]]


def test_a_batch(server: Server, X: FloatArray, P: FloatArray) -> None:
    config = {"n": len(X)}
    both = umbridge.HTTPModel(server.url, "quakes")([X.ravel().tolist()], config)
    np.testing.assert_allclose(np.array(both[0]).reshape(-1, 2), P, rtol=1e-12)
    means = umbridge.HTTPModel(server.url, "quakes-mean")([X.ravel().tolist()], config)
    assert means[0] == both[0][::2]


def test_a_batch_larger_than_a_tile(server: Server, X: FloatArray, gpr: GPR) -> None:
    many = np.tile(X, (60, 1))
    model = umbridge.HTTPModel(server.url, "quakes-variance")
    said = model([many.ravel().tolist()], {"n": len(many)})
    np.testing.assert_allclose(said[0], gpr.predict(many)[:, 1], rtol=1e-12)


def test_latent_variance(server: Server, gpr: GPR, point: list[float]) -> None:
    said = umbridge.HTTPModel(server.url, "quakes")([point], {"noise": False})
    np.testing.assert_allclose(said, gpr.predict(np.array([point]), noise=False), rtol=1e-12)


def test_all_zeros_are_answered(server: Server) -> None:
    said = umbridge.HTTPModel(server.url, "quakes")([[0, 0, 0, 0]])
    assert np.isfinite(said).all()


@pytest.mark.parametrize(("suffix", "k"), [("", [0, 1]), ("-mean", [0]), ("-variance", [1])])
def test_derivatives(analytic: Server, suffix: str, k: list[int]) -> None:
    X, sens = np.array([A]), np.array(SENS)[k]
    J, H = Analytic().gradient(X)[0, k], Analytic().hessian(X)[0, k]
    model = umbridge.HTTPModel(analytic.url, f"toy{suffix}")
    assert model.supports_gradient()
    assert model.supports_apply_jacobian()
    assert model.supports_apply_hessian()
    gradient = model.gradient(0, 0, [A], sens.tolist())
    np.testing.assert_allclose(gradient, J.T @ sens, rtol=1e-14)
    jacobian = model.apply_jacobian(0, 0, [A], VEC)
    np.testing.assert_allclose(jacobian, J @ VEC, rtol=1e-14)
    hessian = model.apply_hessian(0, 0, 0, [A], sens.tolist(), VEC)
    np.testing.assert_allclose(hessian, sum(s * h for s, h in zip(sens, H, strict=True)) @ VEC)


def test_derivatives_of_the_gaussian_process(server: Server, gpr: GPR, point: list[float]) -> None:
    model = umbridge.HTTPModel(server.url, "quakes")
    J = gpr.gradient(np.array([point]))[0]
    H = gpr.hessian(np.array([point]))[0]
    np.testing.assert_allclose(model.gradient(0, 0, [point], SENS), J.T @ SENS, rtol=1e-10)
    np.testing.assert_allclose(model.apply_jacobian(0, 0, [point], VEC), J @ VEC, rtol=1e-10)
    said = model.apply_hessian(0, 0, 0, [point], SENS, VEC)
    np.testing.assert_allclose(said, (SENS[0] * H[0] + SENS[1] * H[1]) @ VEC, rtol=1e-10)


def test_derivatives_of_a_batch(analytic: Server) -> None:
    model, config = umbridge.HTTPModel(analytic.url, "toy"), {"n": 2}
    other = [0.5, 1.0]
    vec = VEC[::-1]
    batch = model.gradient(0, 0, [A + B], SENS + other, config)
    assert batch == model.gradient(0, 0, [A], SENS) + model.gradient(0, 0, [B], other)
    batch = model.apply_jacobian(0, 0, [A + B], VEC + vec, config)
    assert batch == model.apply_jacobian(0, 0, [A], VEC) + model.apply_jacobian(0, 0, [B], vec)
    batch = model.apply_hessian(0, 0, 0, [A + B], SENS + other, VEC + vec, config)
    first = model.apply_hessian(0, 0, 0, [A], SENS, VEC)
    assert batch == first + model.apply_hessian(0, 0, 0, [B], other, vec)


def test_errors_reach_the_caller(server: Server) -> None:
    model = umbridge.HTTPModel(server.url, "quakes")
    with pytest.raises(Exception, match="InvalidInput: the input vector has length 3, expected 4"):
        model([[1.0, 2.0, 3.0]])


def test_emcees_adapter(server: Server, gpr: GPR, point: list[float]) -> None:
    log_prob = UmbridgeLogProb(server.url, "quakes-mean")
    assert log_prob.ndim == 4
    assert log_prob(np.array(point)) == gpr.predict(np.array([point]))[0, :1]
