"""The file: read back as written, refused by the name of what is wrong, proved against GPy."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import GPy
import numpy as np
import pytest

from service.gpr import GPR
from service.gpr import file as modelfile
from service.model import RESERVED, ModelFileError, version_of
from tests.gpr import oracle


@pytest.fixture(scope="module")
def model() -> GPR:
    k = GPy.kern.RBF(3, ARD=True, lengthscale=[1, 2, 3]) + GPy.kern.Bias(3) + GPy.kern.White(3)
    m = oracle.regression(40, 3, k, noise=0.05, normalizer=True)
    trained = GPR.from_gpy(m, ["a", "b", "c"], "z")
    return GPR.from_posterior(replace(trained.posterior, scores={"rmse": 0.5}))


def arrays_of(model: GPR) -> dict[str, Any]:
    with np.load(io.BytesIO(modelfile.encode(model.posterior))) as archive:
        return dict(archive)


def write(path: Path, arrays: dict[str, Any], **options: Any) -> Path:
    with path.open("wb") as stream:
        np.savez(stream, **arrays, **options)
    return path


def test_read_as_written(model: GPR, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    model.save(path)
    again = GPR.load(path)
    assert again.trained
    left, right = again.description, model.description
    assert np.array_equal(left.training_range, right.training_range)
    assert vars(replace(left, training_range=right.training_range)) == vars(right)
    assert left.kernel == "RBF + Bias + White"
    assert left.scores == right.scores
    assert left.scores["rmse"] == 0.5
    json.dumps(left.hyperparameters)
    X = oracle.data(300, 3, seed=2)[0]
    assert np.array_equal(again.predict(X), model.predict(X))
    assert np.array_equal(again.samples(X[:5], 2, 0), model.samples(X[:5], 2, 0))


def test_version_and_bytes(model: GPR, tmp_path: Path) -> None:
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    model.save(one)
    GPR.load(one).save(two)
    assert one.read_bytes() == two.read_bytes()
    assert model.description.version == version_of(io.BytesIO(one.read_bytes()))
    assert len(model.description.version) == 12
    assert list(tmp_path.glob("*.part")) == []


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("format", lambda a: np.array(99)),
    ("format", lambda a: np.array("one")),
    ("sizes", lambda a: np.array([3, 40])),
    ("sizes", lambda a: np.array([3, 0, 17])),
    ("X", lambda a: a["X"][:-1]),
    ("X", lambda a: a["X"].astype("U")),
    ("X", lambda a: a["X"][0]),
    ("alpha", lambda a: np.append(a["alpha"], 1.0)),
    ("alpha", lambda a: np.where(np.arange(40) == 3, np.nan, a["alpha"])),
    ("factor", lambda a: a["factor"][:-1]),
    ("factor", lambda a: np.full_like(a["factor"], np.inf)),
    ("training_range", lambda a: a["training_range"].T),
    ("reference_X", lambda a: a["reference_X"][:0]),
    ("reference_answers", lambda a: a["reference_answers"] * (1 + 1e-6)),
    ("reference_answers", lambda a: a["reference_answers"] + [[0, 1e-6]]),
    ("feature_names", lambda a: np.array(["a", "b"])),
    ("feature_names", lambda a: np.array(["a", "b", "points"])),
    ("feature_names", lambda a: np.array(["a", "b", "b"])),
    ("feature_names", lambda a: np.array(1.0)),
    ("kernel", lambda a: np.array(["Periodic", "Bias", "White"])),
    ("kernel", lambda a: np.array([], dtype="U1")),
    ("variance_0", lambda a: np.array(-1.0)),
    ("variance_1", lambda a: np.array([1.0, 2.0])),
    ("lengthscale_0", lambda a: np.array([1.0, 2.0])),
    ("lengthscale_0", lambda a: np.array([1.0, 0.0, 1.0])),
    ("active_dims_0", lambda a: np.array([0, 1, 3])),
    ("noise_variance", lambda a: np.array(-0.1)),
    ("noise_variance", lambda a: np.array(np.nan)),
    ("output_scale", lambda a: np.array(0.0)),
    ("input_scale", lambda a: np.array([1.0, -1.0, 1.0])),
    ("score_values", lambda a: np.array([1.0, 2.0])),
    ("inducing", lambda a: np.array("no")),
    ("created", lambda a: np.array(5)),
]


@pytest.mark.parametrize(("key", "change"), CHANGES)
def test_a_wrong_array_is_named(
    model: GPR, tmp_path: Path, key: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    arrays = arrays_of(model)
    arrays[key] = change(arrays)
    with pytest.raises(ModelFileError, match=f"'{key}'"):
        GPR.load(write(tmp_path / "wrong.npz", arrays))


def test_every_missing_array_is_named(model: GPR, tmp_path: Path) -> None:
    arrays = arrays_of(model)
    for key in arrays:
        rest = {name: array for name, array in arrays.items() if name != key}
        with pytest.raises(ModelFileError, match=f"'{key}' is missing"):
            GPR.load(write(tmp_path / "wrong.npz", rest))


def test_any_number_that_matters_is_proved(model: GPR, tmp_path: Path) -> None:
    """Of each array of numbers one is changed by a millionth: the answers then are not GPy's."""
    arrays = arrays_of(model)
    for key in ("X", "alpha", "factor", "lengthscale_0", "output_offset", "noise_variance"):
        changed = arrays[key].copy()
        changed.reshape(-1)[changed.size // 2] *= 1 + 1e-6
        changed.reshape(-1)[0] *= 1 + 1e-6
        with pytest.raises(ModelFileError, match="'reference_answers' is not reproduced"):
            GPR.load(write(tmp_path / "wrong.npz", {**arrays, key: changed}))


def test_a_pickled_array_is_refused(model: GPR, tmp_path: Path) -> None:
    arrays = {**arrays_of(model), "alpha": np.array([{}], dtype=object)}
    with pytest.raises(ModelFileError, match="'alpha' cannot be read"):
        GPR.load(write(tmp_path / "wrong.npz", arrays, allow_pickle=True))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_truncated(model: GPR, tmp_path: Path, share: float) -> None:
    data = modelfile.encode(model.posterior)
    path = tmp_path / "wrong.npz"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFileError, match="truncated"):
        GPR.load(path)


def test_a_flipped_bit_is_found(model: GPR, tmp_path: Path) -> None:
    data = bytearray(modelfile.encode(model.posterior))
    data[data.index(b"factor.npy") + 1000] ^= 1
    path = tmp_path / "wrong.npz"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="'factor' cannot be read"):
        GPR.load(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "single.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ModelFileError, match="single array"):
        GPR.load(path)
    path.write_text("lat,long\n")
    with pytest.raises(ModelFileError, match=r"not an \.npz"):
        GPR.load(path)
    with pytest.raises(FileNotFoundError):
        GPR.load(tmp_path / "absent.npz")


@pytest.mark.parametrize("name", [*sorted(RESERVED), "", " ", " b", "a"])
def test_feature_names_that_requests_cannot_carry(name: str) -> None:
    m = oracle.regression(5, 2, oracle.kernel("RBF", 2, ard=False))
    with pytest.raises(ValueError, match=r"feature name [2']"):
        GPR.from_gpy(m, ["a", name])


def test_the_bundled_model_loads_without_gpy_or_scipy() -> None:
    program = (
        "import sys, numpy as np; from pathlib import Path; from service.gpr import GPR;"
        "m = GPR.load(Path('service/pretrained.npz')); m.predict(np.zeros((300, 4)));"
        "print([name for name in ('GPy', 'scipy', 'paramz') if name in sys.modules])"
    )
    root = Path(modelfile.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
