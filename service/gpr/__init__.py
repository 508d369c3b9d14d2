"""Gaussian process regression: trained by GPy, served by NumPy."""

from service.gpr.regression import GPR

__all__ = ["GPR"]
