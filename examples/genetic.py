"""A genetic algorithm that looks for the input with the best output under uncertainty.

    PYTHONPATH=client python -m examples.genetic http://localhost:5000 --generations 60

Each generation is one batch, sent to the service in parallel requests. The search maximises the
lower confidence bound, mean - kappa * standard deviation of the function: a high mean that the
model is sure of. With --minimise it minimises the upper bound. It stays within the training range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.optimize import minimize

from examples.figures import generations_figure
from examples.plotfile import PlotFile
from examples.surrogate import AT_LEAST_ONE, FloatArray, Surrogate


@dataclass
class Generation:
    """The cost of one generation, the best bound so far, and the median of this generation."""

    seconds: float
    replicas: int
    best: float
    median: float


class Bound(Problem):  # type: ignore[misc]
    """The confidence bound of a surrogate as a problem for pymoo, which minimises.

    Parameters
    ----------
    surrogate : the model
    kappa : standard deviations between the mean and the bound
    sign : 1 to minimise the output, -1 to maximise it
    """

    def __init__(self, surrogate: Surrogate, kappa: float, sign: int) -> None:
        low, high = surrogate.model.training_range.T
        super().__init__(n_var=len(low), n_obj=1, xl=low, xu=high)
        self.surrogate, self.kappa, self.sign = surrogate, kappa, sign
        self.best = np.inf
        self.history: list[Generation] = []
        self.all_replicas: frozenset[str] = frozenset()

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        answer = self.surrogate.predict(x, noise=False)
        bound = self.sign * answer.mean + self.kappa * np.sqrt(answer.variance)
        out["F"] = bound
        self.best = min(self.best, float(bound.min()))
        best, median = self.sign * self.best, self.sign * float(np.median(bound))
        self.all_replicas |= answer.replicas
        self.history.append(Generation(answer.seconds, len(answer.replicas), best, median))
        click.echo(
            f"generation {len(self.history):3d}: {answer.seconds:7.3f} s, "
            f"{len(x) / answer.seconds:9,.0f} points/s, {len(answer.replicas)} replicas, "
            f"best bound {best:.6g}"
        )


def report(bound: Bound, x: FloatArray) -> None:
    """Print the input that was found and the model's answer there."""
    answer = bound.surrogate.predict(np.atleast_2d(x), noise=False)
    model = bound.surrogate.model
    click.echo(f"found, with version {model.version} of {model.name}:")
    for name, value in zip(bound.surrogate.model.feature_names, x, strict=True):
        click.echo(f"  {name} = {value:.6g}")
    deviation = float(np.sqrt(answer.variance[0]))
    click.echo(f"  {model.output_name} = {answer.mean[0]:.6g} ± {deviation:.3g}")
    click.echo(f"{len(bound.all_replicas)} replicas answered")


@click.command()
@click.argument("url")
@click.option("--host", default="", metavar="NAME", help="The Host header to send.")
@click.option("--generations", default=30, type=AT_LEAST_ONE, show_default=True)
@click.option("--population", default=500, type=AT_LEAST_ONE, show_default=True)
@click.option(
    "--parallel", default=8, type=AT_LEAST_ONE, show_default=True, help="Parallel requests."
)
@click.option("--kappa", default=2.0, show_default=True, help="Standard deviations of caution.")
@click.option("--minimise", is_flag=True, help="Look for the smallest output instead.")
@click.option("--seed", default=1, type=click.IntRange(min=0), show_default=True)
@click.option("--plot", type=PlotFile(), default=Path("genetic.png"))
def main(
    url: str,
    host: str,
    generations: int,
    population: int,
    parallel: int,
    kappa: float,
    minimise: bool,
    seed: int,
    plot: Path,
) -> None:
    """Find the input with the best confidence bound of the model at URL."""
    bound = Bound(Surrogate(url, parallel, host), kappa, sign=1 if minimise else -1)
    # The search for duplicates compares all pairs: gigabytes for tens of thousands of points.
    algorithm = GA(pop_size=population, eliminate_duplicates=False)
    found = minimize(bound, algorithm, ("n_gen", generations), seed=seed)
    report(bound, found.X)
    generations_figure(bound.history, bound.surrogate.model.output_name).savefig(plot, dpi=150)
    click.echo(f"plot: {plot}")


if __name__ == "__main__":
    main()
