"""NVIDIA's `tritonclient[http]`, unmodified."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from service.gpr import GPR
from service.model import FloatArray
from tests.helpers.serving import Server
from tests.web.protocols.analytic import Analytic


@pytest.fixture
def triton(server: Server) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        yield client


def _input(X: np.ndarray, name: str = "x", binary: bool = True) -> InferInput:
    tensor = InferInput(name, list(X.shape), np_to_triton_dtype(X.dtype))
    tensor.set_data_from_numpy(X, binary_data=binary)
    return tensor


def test_health_and_metadata(triton: InferenceServerClient, gpr: GPR) -> None:
    version = gpr.description.version
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("quakes")
    assert triton.is_model_ready("quakes", version)
    assert not triton.is_model_ready("nobody")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data", "statistics"]
    said = triton.get_model_metadata("quakes", version)
    assert said["versions"] == [version]
    (described,) = said["inputs"]
    assert described.items() >= {"name": "x", "datatype": "FP64", "shape": [-1, 4]}.items()
    assert {"FP64", "INT64", "BOOL"} <= set(described["parameters"]["datatypes"].split(", "))
    assert [output["name"] for output in said["outputs"]] == ["mean", "variance"]
    index = triton.get_model_repository_index()
    assert index == [{"name": "quakes", "version": version, "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_infer(
    triton: InferenceServerClient,
    X: FloatArray,
    P: FloatArray,
    binary: bool,
    compression: str | None,
) -> None:
    said = triton.infer(
        "quakes",
        [_input(X, binary=binary)],
        request_id="seventeen",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    np.testing.assert_allclose(said.as_numpy("mean"), P[:, :1], rtol=1e-12)
    np.testing.assert_allclose(said.as_numpy("variance"), P[:, 1:], rtol=1e-12)
    assert said.get_response()["id"] == "seventeen"


def test_many_points(triton: InferenceServerClient, X: FloatArray, gpr: GPR) -> None:
    many = np.tile(X, (1000, 1))
    said = triton.infer("quakes", [_input(many)])
    np.testing.assert_array_equal(said.as_numpy("mean"), gpr.predict(many)[:, :1])


def test_a_tensor_for_each_feature(
    triton: InferenceServerClient, X: FloatArray, P: FloatArray, names: tuple[str, ...]
) -> None:
    flat = [_input(np.ascontiguousarray(X[:, i]), name) for i, name in enumerate(names)]
    columns = [_input(np.ascontiguousarray(X[:, [i]]), name) for i, name in enumerate(names)]
    for inputs in (flat, columns[::-1], [flat[0], *columns[1:]]):
        said = triton.infer("quakes", inputs)
        np.testing.assert_allclose(said.as_numpy("mean"), P[:, :1], rtol=1e-12)


def test_single_precision(triton: InferenceServerClient, X: FloatArray, gpr: GPR) -> None:
    single = X.astype(np.float32)
    want = gpr.predict(single.astype(np.float64))
    for binary in (True, False):
        said = triton.infer("quakes", [_input(single, binary=binary)])
        np.testing.assert_allclose(said.as_numpy("variance"), want[:, 1:], rtol=1e-12)


@pytest.mark.parametrize("kind", ["int64", "int32", "int16", "uint8", "float16", "bool"])
@pytest.mark.parametrize("binary", [True, False])
def test_other_datatypes(
    triton: InferenceServerClient,
    X: FloatArray,
    gpr: GPR,
    names: tuple[str, ...],
    kind: str,
    binary: bool,
) -> None:
    """Each column of a data frame has a type of its own."""
    columns = [np.ascontiguousarray(column) for column in X.T]
    columns[3] = (columns[3] > 60).astype(kind) if kind == "bool" else columns[3].astype(kind)
    columns[2] = columns[2].astype("int32")
    if kind == "float16":  # JSON cannot hold it, says tritonclient
        binary = True
    inputs = [_input(c, name, binary) for name, c in zip(names, columns, strict=True)]
    said = triton.infer("quakes", inputs)
    want = gpr.predict(np.column_stack(columns).astype(np.float64))
    np.testing.assert_allclose(said.as_numpy("mean"), want[:, :1], rtol=1e-12)


@pytest.mark.parametrize("binary", [True, False])
def test_points_outside_the_training_range(
    triton: InferenceServerClient, X: FloatArray, gpr: GPR, binary: bool
) -> None:
    outputs = [InferRequestedOutput(name, binary) for name in ("extrapolated", "mean")]
    said = triton.infer("quakes", [_input(X)], outputs=outputs)
    assert not said.as_numpy("extrapolated").any()
    assert "parameters" not in said.get_response()
    X = X.copy()
    X[[3, 7], 2] = 2 * gpr.description.training_range[2, 1]
    said = triton.infer("quakes", [_input(X)], outputs=outputs)
    marked = said.as_numpy("extrapolated")
    assert (marked.dtype, marked.shape) == (bool, (20, 1))
    assert np.flatnonzero(marked).tolist() == [3, 7]
    assert said.get_response()["parameters"] == {"extrapolated": True}
    assert triton.infer("quakes", [_input(X)]).get_response()["parameters"] == {
        "extrapolated": True
    }


def test_outputs_that_are_named(
    triton: InferenceServerClient, X: FloatArray, P: FloatArray
) -> None:
    outputs = [
        InferRequestedOutput("variance", binary_data=True),
        InferRequestedOutput("mean", binary_data=False),
    ]
    said = triton.infer("quakes", [_input(X)], outputs=outputs)
    assert [output["name"] for output in said.get_response()["outputs"]] == ["variance", "mean"]
    np.testing.assert_allclose(said.as_numpy("mean"), P[:, :1], rtol=1e-12)
    np.testing.assert_allclose(said.as_numpy("variance"), P[:, 1:], rtol=1e-12)


def test_latent_variance(triton: InferenceServerClient, X: FloatArray, gpr: GPR) -> None:
    said = triton.infer("quakes", [_input(X)], parameters={"noise": False})
    want = gpr.predict(X, noise=False)
    np.testing.assert_allclose(said.as_numpy("variance"), want[:, 1:], rtol=1e-12)


def test_gradients_on_request(analytic: Server) -> None:
    X = np.random.default_rng(2).uniform(-1, 1, (5, 4))
    names = ("mean_gradient", "variance_gradient", "mean")
    with InferenceServerClient(f"127.0.0.1:{analytic.port}") as triton:
        said = triton.infer("toy", [_input(X)], outputs=[InferRequestedOutput(n) for n in names])
    for i, name in enumerate(names[:2]):
        np.testing.assert_array_equal(said.as_numpy(name), Analytic().gradient(X)[:, i])


def test_statistics_count_points(triton: InferenceServerClient, X: FloatArray) -> None:
    def count() -> int:
        return int(triton.get_inference_statistics("quakes")["model_stats"][0]["inference_count"])

    before = count()
    triton.infer("quakes", [_input(X)])
    assert count() >= before + len(X)


def test_errors_reach_the_caller(triton: InferenceServerClient, X: FloatArray) -> None:
    with pytest.raises(InferenceServerException, match="no such model: 'nobody'"):
        triton.infer("nobody", [_input(X)])
    with pytest.raises(InferenceServerException, match=r"shape \[20, 3\], not \[n, 4\]"):
        triton.infer("quakes", [_input(np.ascontiguousarray(X[:, :3]))])
    broken = X.copy()
    broken[3, 1] = np.nan
    with pytest.raises(InferenceServerException, match="point 3 is not finite"):
        triton.infer("quakes", [_input(broken)])
