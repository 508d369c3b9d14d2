"""Gaussian process regression: trained by GPy or another toolkit, served by a C kernel or NumPy."""

from service.gpr.regression import GPR

__all__ = ["GPR"]
