"""Files of format 1, and their answers as recorded on e9df6a8, the last commit that wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.gpr import GPR

FOLDER = Path(__file__).parent / "format1"


@pytest.mark.parametrize("name", ["exact", "sum", "sparse"])
def test_old_files_answer_as_before(name: str) -> None:
    """Within a relative 1e-9, as the models that GPy trains."""
    model = GPR.load(FOLDER / f"{name}.npz")
    with np.load(FOLDER / "answers.npz") as answers:
        wanted = {key.removeprefix(f"{name}_"): value for key, value in answers.items()}
    X = wanted["X"]
    variance = model.posterior.output_scale**2 * model.posterior.kernel.diagonal(X)
    for noise, key in ((True, "predict"), (False, "latent")):
        error = np.abs(model.predict(X, noise=noise) - wanted[key])
        assert np.all(error[:, 0] <= 1e-9 * np.maximum(np.abs(wanted[key][:, 0]), variance**0.5))
        assert np.all(error[:, 1] <= np.maximum(1e-9 * wanted[key][:, 1], 1e-12 * variance))
    for key, found in {
        "gradient": model.gradient(X),
        "hessian": model.hessian(X),
        "covariance": model.covariance(X),
    }.items():
        largest = np.abs(wanted[key]).max()
        np.testing.assert_allclose(found, wanted[key], rtol=1e-9, atol=1e-9 * largest, err_msg=key)
