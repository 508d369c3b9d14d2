"""Variants of the bundled model file, created without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from service.gpr import GPR
from service.gpr.kernels import RBF


def another(gpr: GPR, folder: Path, shift: float) -> Path:
    """Save a model whose mean is higher by `shift` in `folder`, and return its path."""
    posterior = gpr.posterior
    moved = replace(
        posterior,
        output_offset=posterior.output_offset + shift,
        reference_answers=posterior.reference_answers + np.array([shift, 0.0]),
    )
    path = folder / f"shifted-{shift}.npz"
    GPR.from_posterior(moved).save(path)
    return path


def worse(gpr: GPR, folder: Path) -> Path:
    """Save a model of the same data whose lengthscales are far too short, and return its path."""
    known = gpr.diagnostics()
    model = GPR.from_parts(
        known.X[:200],
        known.observed[:200],
        kernel=RBF(known.X.shape[1], 0.2, 1e-3),
        noise_variance=0.01,
        mean=float(known.observed.mean()),
        feature_names=gpr.feature_names,
        output_name=gpr.output_name,
    )
    path = folder / "worse.npz"
    model.save(path)
    return path
