"""Model files of format 1, which versions up to 0.1 wrote, and the answers recorded then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from service.gpr import GPR
from service.model import FloatArray
from verify.comparison import errors, relative
from verify.report import Section

FOLDER = Path(__file__).parent.parent / "tests" / "gpr" / "format1"
LIMIT = 1e-9
NAMES = ("exact", "sum", "sparse")


def recorded(name: str) -> dict[str, FloatArray]:
    """Return points and answers of a file, as its version of the service gave them."""
    with np.load(FOLDER / "answers.npz") as answers:
        return {
            key.removeprefix(f"{name}_"): value
            for key, value in answers.items()
            if key.startswith(f"{name}_")
        }


def check(name: str, model: Any, section: Section) -> None:
    """Add a row: the differences of mean and variance, gradient, Hessian and covariance."""
    wanted = recorded(name)
    X, p = wanted["X"], GPR.load(FOLDER / f"{name}.npz").posterior
    prior = p.output_scale**2 * float(p.kernel.diagonal(p.X[:1])[0])
    off = errors(model.predict(X), wanted["predict"], prior)
    cells = [section.check(f"{name}, {k}", v, LIMIT) for k, v in off._asdict().items()]
    for key in ("gradient", "hessian", "covariance"):
        value = relative(getattr(model, key)(X), wanted[key])
        cells.append(section.check(f"{name}, {key}", value, LIMIT))
    section.rows.append([f"{name}: {p.kernel.name}", *cells])


def sections() -> list[Section]:
    """Return the section of old files."""
    section = Section(
        "Model files of format 1",
        "Three files that the last version with format 1 wrote, loaded by this one: differences "
        f"from the answers that it gave. The limit is {LIMIT:.0e}.",
        ["file", "mean", "variance", "gradient", "Hessian", "covariance"],
    )
    for name in NAMES:
        check(name, GPR.load(FOLDER / f"{name}.npz"), section)
    return [section]
