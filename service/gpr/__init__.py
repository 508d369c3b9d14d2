"""Gaussian process regression: trained by GPy or another toolkit, served by NumPy."""

from service.gpr.regression import GPR

__all__ = ["GPR"]
