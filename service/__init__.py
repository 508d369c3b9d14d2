"""gpserve: a trained Gaussian-process surrogate behind HTTP."""

__version__ = "0.1.0"
