"""Monte Carlo propagation: the uncertainty of the output that uncertain inputs cause.

    PYTHONPATH=client python -m examples.montecarlo http://localhost:5000 --normal lat=-20,1.5

Inputs are uniform over the training range, or normal where --normal says so. The output's variance
is that of the mean over the inputs plus the mean of the model's own variance (the law of total
variance), so the two causes can be distinguished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from examples.figures import propagation_figure
from examples.plotfile import PlotFile
from examples.surrogate import AT_LEAST_ONE, FloatArray, Surrogate


@dataclass
class Propagation:
    """The answers so far, batch by batch.

    Attributes
    ----------
    means, variances : of the model at the drawn inputs
    draws : of the output, one per input
    estimates : after each batch, the output's mean and that estimate's standard error
    seconds, replicas : of each batch
    """

    means: list[FloatArray] = field(default_factory=list)
    variances: list[FloatArray] = field(default_factory=list)
    draws: list[FloatArray] = field(default_factory=list)
    estimates: list[tuple[float, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    all_replicas: frozenset[str] = frozenset()

    def add(self, surrogate: Surrogate, X: FloatArray, rng: np.random.Generator) -> None:
        """Predict one batch and print its cost."""
        answer = surrogate.predict(X, noise=True)
        self.means.append(answer.mean)
        self.variances.append(answer.variance)
        self.draws.append(rng.normal(answer.mean, np.sqrt(answer.variance)))
        means = np.concatenate(self.means)
        self.estimates.append((float(means.mean()), float(means.std() / np.sqrt(len(means)))))
        self.seconds.append(answer.seconds)
        self.replicas.append(len(answer.replicas))
        self.all_replicas |= answer.replicas
        click.echo(
            f"batch {len(self.seconds):3d}: {answer.seconds:7.3f} s, "
            f"{len(X) / answer.seconds:9,.0f} points/s, {len(answer.replicas)} replicas, "
            "mean {:.6g} ± {:.2g}".format(*self.estimates[-1])
        )

    def report(self, output: str) -> None:
        """Print the output's distribution and where its variance comes from."""
        of_inputs = float(np.concatenate(self.means).var())
        of_model = float(np.concatenate(self.variances).mean())
        low, high = np.quantile(np.concatenate(self.draws), [0.025, 0.975])
        click.echo("{}: mean {:.6g} ± {:.2g}".format(output, *self.estimates[-1]))
        click.echo(f"  95 % between {low:.6g} and {high:.6g}")
        click.echo(
            f"  variance {of_inputs + of_model:.6g}: of the inputs {of_inputs:.6g}, ", nl=False
        )
        click.echo(f"of the model {of_model:.6g}")
        click.echo(f"{len(self.all_replicas)} replicas answered")


def normals(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """Return mean and deviation by input name, from ``name=mean,deviation``."""
    normal = {}
    for value in values:
        name, _, numbers = value.rpartition("=")
        try:
            mean, deviation = map(float, numbers.split(","))
        except ValueError:
            raise click.BadParameter(f"{value!r} is not NAME=MEAN,DEVIATION") from None
        if not name or not deviation >= 0:
            raise click.BadParameter(f"{value!r} has no name or a negative deviation")
        normal[name] = mean, deviation
    return normal


def draw_inputs(
    surrogate: Surrogate,
    normal: dict[str, tuple[float, float]],
    count: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return independent random inputs, shape (count, d)."""
    columns = [
        rng.normal(*normal[name], count) if name in normal else rng.uniform(low, high, count)
        for name, (low, high) in zip(
            surrogate.model.feature_names, surrogate.model.training_range, strict=True
        )
    ]
    return np.column_stack(columns)


@click.command()
@click.argument("url")
@click.option("--host", default="", metavar="NAME", help="The Host header to send.")
@click.option("--points", default=200_000, type=AT_LEAST_ONE, show_default=True)
@click.option(
    "--batch",
    default=20_000,
    type=AT_LEAST_ONE,
    show_default=True,
    help="Points per batch.",
)
@click.option(
    "--parallel", default=8, type=AT_LEAST_ONE, show_default=True, help="Parallel requests."
)
@click.option("--normal", multiple=True, metavar="NAME=MEAN,DEVIATION", callback=normals)
@click.option("--seed", default=1, type=click.IntRange(min=0), show_default=True)
@click.option("--plot", type=PlotFile(), default=Path("montecarlo.png"))
def main(
    url: str,
    host: str,
    points: int,
    batch: int,
    parallel: int,
    normal: dict[str, tuple[float, float]],
    seed: int,
    plot: Path,
) -> None:
    """Propagate uncertain inputs through the model at URL."""
    surrogate = Surrogate(url, parallel, host)
    unknown = sorted(normal.keys() - set(surrogate.model.feature_names))
    if unknown:
        raise click.BadParameter(f"the model has no input {unknown[0]!r}", param_hint="--normal")
    rng = np.random.default_rng(seed)
    done = Propagation()
    for start in range(0, points, batch):
        X = draw_inputs(surrogate, normal, min(batch, points - start), rng)
        done.add(surrogate, X, rng)
    output = surrogate.model.output_name
    done.report(output)
    propagation_figure(done, output).savefig(plot, dpi=150)
    click.echo(f"plot: {plot}")


if __name__ == "__main__":
    main()
