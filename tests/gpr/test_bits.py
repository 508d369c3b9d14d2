"""A point's answer has the same bits whatever is asked with it, and however it is computed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from service.gpr import GPR, native
from service.gpr.compiled import CompiledPredictor, PackedTriangle
from service.gpr.kernels import (
    RBF,
    Bias,
    Exponential,
    ExpSineSquared,
    Linear,
    Matern32,
    Matern52,
    RatQuad,
    StdPeriodic,
)
from service.gpr.means import Basis
from service.model import FloatArray
from tests.helpers.serving import ROOT

pytestmark = pytest.mark.skipif(
    native.library() is None, reason="nothing is compiled: run make kernel, with a C compiler"
)

KERNELS = {
    "RBF": RBF(3, 1.3, [1, 0.5, 2]),
    "Exponential": Exponential(3, 0.7, 1.5),
    "Matern32": Matern32(3, 2.0, [0.3, 1, 4], [2, 0, 1]),
    "Matern52": Matern52(3) + Bias(3, 0.5),
    "sum": RBF(2, active_dims=[0, 2]) + Matern32(1, active_dims=[1]),
    "product": RBF(3) * Linear(3, [0.1, 0.2, 0.3]) + RBF(3, 2.0, 3.0),
    "RatQuad": RatQuad(3, 1.5, 2.0, 3.0),
    "StdPeriodic": StdPeriodic(3, 1.0, [3, 4, 5], [1, 2, 1.5]),
    "ExpSineSquared": ExpSineSquared(1, 1.0, 1.0, 5.0, [1]) * RBF(3),
}


@cache
def model(n: int, kernel: str = "RBF", mean: Basis = "none") -> GPR:
    X = np.random.default_rng(n).uniform(-2, 2, (n, 3))
    y = np.sin(X.sum(axis=1))
    return GPR.from_parts(X, y, kernel=KERNELS[kernel], noise_variance=0.01, mean=mean)


def points(n: int) -> FloatArray:
    return np.random.default_rng(7).uniform(-3, 3, (n, 3))


def one_by_one(gpr: GPR, X: FloatArray) -> FloatArray:
    return np.vstack([gpr.predict(X[i : i + 1]) for i in range(len(X))])


@pytest.mark.parametrize("n", [1, 31, 32, 33, 500, 1100])
def test_in_arrays_of_every_size(n: int) -> None:
    gpr, X = model(n), points(700)
    alone = one_by_one(gpr, X)
    for size in (2, 3, 4, 5, 6, 7, 8, 13, 64, 255, 256, 257, 300, 700):
        parts = [gpr.predict(X[i : i + size]) for i in range(0, len(X), size)]
        assert np.array_equal(np.vstack(parts), alone), size


@pytest.mark.parametrize("mean", ["none", "constant", "linear"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_for_every_kernel_and_mean(kernel: str, mean: Basis) -> None:
    gpr, X = model(70, kernel, mean), points(300)
    assert np.array_equal(gpr.predict(X), one_by_one(gpr, X))
    shuffled = np.random.default_rng(0).permutation(300)
    assert np.array_equal(gpr.predict(X[shuffled]), gpr.predict(X)[shuffled])


@pytest.mark.parametrize("mean", ["none", "linear"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_of_derivatives(kernel: str, mean: Basis) -> None:
    gpr, X = model(70, kernel, mean), points(20)
    for derivative in (gpr.gradient, gpr.hessian):
        alone = np.vstack([derivative(X[i : i + 1]) for i in range(len(X))])
        assert np.array_equal(derivative(X), alone)


def test_of_a_sparse_model() -> None:
    X = points(200)
    gpr = GPR.from_parts(
        X, np.sin(X[:, 0]), kernel=RBF(3), noise_variance=0.01, inducing_inputs=X[:40]
    )
    assert np.array_equal(gpr.predict(X), one_by_one(gpr, X))


@pytest.mark.skipif(len(native.usable()) < 2, reason="one build alone has no other to compare")
@pytest.mark.parametrize("mean", ["none", "linear"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_in_every_build(kernel: str, mean: Basis) -> None:
    """So replicas on processors of different kinds give the same answers."""
    gpr, X = model(70, kernel, mean), points(2000)
    first, *others = (np.empty((len(X), 2)) for _ in native.usable())
    for out, build in zip((first, *others), native.usable(), strict=True):
        CompiledPredictor(gpr.posterior, native.Library(build)).write(out, X)
    for out in others:
        assert np.array_equal(out, first)


@pytest.mark.parametrize("size", [40, 1100, 2600])
def test_of_products_whichever_way_the_triangle_is_read(size: int) -> None:
    """The sizes are each read in another way: what is fetched in advance depends on them."""
    generator = np.random.default_rng(size)
    C = np.tril(generator.normal(size=(size, size)))
    K = np.zeros((20, native.padded(size)))
    K[:, :size] = generator.normal(size=(20, size))
    first = None
    for build in native.usable():
        library = native.Library(build)
        triangle = PackedTriangle(library, C[np.tril_indices(size)], np.zeros(size), 1.0)
        for backwards in (False, True):
            for n in (1, 6, 7, 20):
                V = np.empty_like(K)
                for i in range(0, len(K), n):
                    part = K[i : i + n].ctypes.data, len(K[i : i + n])
                    library.product(triangle.pointer, *part, backwards, V[i:].ctypes.data)
                first = V if first is None else first
                assert np.array_equal(V, first), (build, backwards, n)
    assert first is not None
    np.testing.assert_allclose(first[:, :size], K[:, :size] @ C.T, rtol=0, atol=1e-10)


OTHER = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512F AVX512_SKX"}
"""What makes NumPy and its BLAS take this processor for one without AVX-512."""


@pytest.mark.skipif("AVX-512" not in native.usable(), reason="this processor has no AVX-512")
def test_on_a_processor_of_another_type(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from service.gpr import GPR
folder = Path(sys.argv[1])
for file in folder.glob("*.npz"):
    gpr = GPR.load(file)
    assert gpr.arithmetic == "compiled for AVX2"
    np.save(file.with_suffix(".npy"), gpr.predict(np.load(folder / "points.npy")))
"""
    np.save(tmp_path / "points.npy", points(500))
    for kernel in KERNELS:
        model(70, kernel).save(tmp_path / f"{kernel}.npz")
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | OTHER, check=True)
    for kernel in KERNELS:
        there = np.load(tmp_path / f"{kernel}.npy")
        assert np.array_equal(there, model(70, kernel).predict(points(500))), kernel
