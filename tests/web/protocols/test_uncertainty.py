"""Uncertainty quantification packages that reach the surrogate over UM-Bridge."""

from __future__ import annotations

import emcee
import numpy as np
import qmcpy
import umbridge
from qmcpy.integrand import UMBridgeWrapper

from service.gpr import GPR
from tests.helpers.serving import Server


def test_qmcpy_integrates_the_mean(server: Server, gpr: GPR) -> None:
    low, high = gpr.description.training_range.T
    measure = qmcpy.Uniform(
        qmcpy.DigitalNetB2(4, seed=7), lower_bound=low.tolist(), upper_bound=high.tolist()
    )
    model = umbridge.HTTPModel(server.url, "quakes-mean")
    integrand = UMBridgeWrapper(measure, model, {}, parallel=False)
    solution, _ = qmcpy.CubQMCNetG(integrand, abs_tol=0.02, n_init=256).integrate()
    X = np.random.default_rng(0).uniform(low, high, (20_000, 4))
    assert abs(float(solution) - gpr.predict(X)[:, 0].mean()) < 0.02


def test_emcee_samples_a_posterior(server: Server, gpr: GPR) -> None:
    """Which inputs explain an observed magnitude of 4.6, in unit coordinates?"""
    low, high = gpr.description.training_range.T
    model = umbridge.HTTPModel(server.url, "quakes")

    def log_probabilities(U: np.ndarray) -> list[float]:
        inside = ((U >= 0) & (U <= 1)).all(axis=1)
        points = (low + np.clip(U, 0, 1) * (high - low)).ravel().tolist()
        mean, variance = np.reshape(model([points], {"n": len(U)}), (-1, 2)).T
        misfit = -0.5 * ((4.6 - mean) ** 2 / variance + np.log(variance))
        return list(np.where(inside, misfit, -np.inf))

    start = np.random.default_rng(1).uniform(0.2, 0.8, (16, 4))
    sampler = emcee.EnsembleSampler(16, 4, log_probabilities, vectorize=True)
    sampler.random_state = np.random.RandomState(1).get_state()  # else it is another one each time
    sampler.run_mcmc(start, 60)
    chain = low + sampler.get_chain(discard=20, flat=True) * (high - low)
    # In company as small as the sampler's: many points at once differ in the last digits, and
    # where the two terms of a misfit cancel, that is more than any relative bound.
    P = np.vstack([gpr.predict(points) for points in np.split(chain, len(chain) // 16)])
    mean, variance = P.T
    want = -0.5 * ((4.6 - mean) ** 2 / variance + np.log(variance))
    np.testing.assert_allclose(sampler.get_log_prob(discard=20, flat=True), want, rtol=1e-9)
    assert abs(np.average(mean) - 4.6) < 0.25
