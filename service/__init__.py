"""gpserve: a trained Gaussian-process surrogate behind HTTP."""

# Chart.yaml and client/pyproject.toml repeat it; tests/deploy/chart/test_release.py compares them.
__version__ = "0.1.0"
