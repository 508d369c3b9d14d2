"""The bare model beside GPy: points per second in one process, on one core.

Run as ``taskset -c 1 python -m bench.model_rate``. Ways take turns, and each is given its best
turn by the thread's own CPU time, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from collections.abc import Callable

import click
import GPy
import numpy as np

from service.gpr import GPR


def rates(ways: dict[str, tuple[float, Callable[[], object]]], turns: int) -> dict[str, float]:
    """Units per second of CPU time of each way: (units a call, call)."""
    best = dict.fromkeys(ways, 0.0)
    for _ in range(turns):
        for name, (units, call) in ways.items():
            calls, spent = 0, 0.0
            start = time.thread_time()
            while spent < 0.02:
                call()
                calls += 1
                spent = time.thread_time() - start
            best[name] = max(best[name], units * calls / spent)
    return best


def trained_by_gpy(n: int, kernel: str) -> GPy.models.GPRegression:
    """Return a GP over 4 inputs given n rows, with fixed hyperparameters: only size matters."""
    rng = np.random.default_rng(n)
    X = rng.uniform(-2, 2, (n, 4))
    y = np.sin(X.sum(axis=1, keepdims=True)) + 0.1 * rng.standard_normal((n, 1))
    return GPy.models.GPRegression(
        X, y, getattr(GPy.kern, kernel)(4, ARD=True), normalizer=True, noise_var=0.01
    )


@click.command()
@click.option("--training", "sizes", multiple=True, default=(500, 2000), show_default=True)
@click.option("--kernel", default="RBF", show_default=True)
@click.option("--turns", default=15, show_default=True)
def main(sizes: tuple[int, ...], kernel: str, turns: int) -> None:
    """Print a table for each number of training points."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((1000, 1000))
    for n in sizes:
        m = trained_by_gpy(n, kernel)
        model = GPR.from_gpy(m, ["a", "b", "c", "d"])
        ways: dict[str, tuple[float, Callable[[], object]]] = {
            "product": (2e9, lambda: square @ square)
        }
        counts = (1, 8, 16, 1024)
        for count in counts:
            X = rng.uniform(-2, 2, (count, 4))
            ways[f"model {count}"] = (count, lambda X=X, model=model: model.predict(X))
            ways[f"GPy {count}"] = (count, lambda X=X, m=m: m.predict(X))
        found = rates(ways, turns)
        click.echo(
            f"N = {n}, {kernel}; this core's matrix product: {found['product'] / 1e9:.1f} GFLOP/s"
        )
        click.echo("points a call   model/s     GPy/s   ratio   share of the product's rate")
        for count in counts:
            ours, theirs = found[f"model {count}"], found[f"GPy {count}"]
            share = ours * n * n / found["product"]
            click.echo(f"{count:13} {ours:9,.0f} {theirs:9,.0f} {ours / theirs:7.2f}   {share:.0%}")


if __name__ == "__main__":
    main()
