"""`python -m loadtest`: send a service a shape of load and watch its cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from loadtest import delays, plot, shapes, timeline
from loadtest.seconds import Second
from loadtest.shapes import Shape
from loadtest.target import Target
from loadtest.traffic import Traffic
from loadtest.watch import Watch


def numbers(_: click.Context, __: click.Parameter, text: str) -> list[float]:
    """Return the numbers of a comma-separated list."""
    try:
        found = [float(each) for each in text.split(",") if each]
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers like 50,500,50") from error
    if any(not 0 <= each < 1e6 for each in found):
        raise click.BadParameter("rates must be requests/s from 0 to 1,000,000")
    return found


def shape_of(name: str, low: float, high: float, seconds: float, rates: list[float]) -> Shape:
    """Return the shape that the options ask for."""
    if name == "steps":
        return shapes.steps(rates or [low, high, low], seconds)
    return {"ramp": shapes.ramp, "day": shapes.day}[name](low, high, seconds)


def watched(namespace: str, deployment: str) -> Watch | None:
    """Return a watch on the cluster if a namespace is given, or raise an error without access."""
    if not namespace:
        return None
    try:
        watch = Watch(namespace, deployment)
        watch.sample()
    except (ApiException, ConfigException, HTTPError) as error:
        reason = getattr(error, "reason", None) or str(error)
        text = f"cannot watch the Deployment {deployment} in the namespace {namespace}: {reason}"
        raise click.ClickException(text) from error
    return watch


def status(traffic: Traffic, watch: Watch | None) -> str:
    """Return the current state in one line."""
    now = int(traffic.now)
    last = traffic.read().get(now - 2, Second())
    text = f"offered {traffic.shape.rate(now):.0f}/s, served {last.served}/s"
    text += f", errors {sum(second.errors for second in traffic.seconds.values())}"
    p99 = last.quantile(0.99)
    text += "" if p99 is None else f", p99 {p99:.0f} ms"
    if watch and watch.samples:
        sample = watch.samples[-1]
        text += f", {sample.ready} of {sample.desired} pods"
    return text


def follow(traffic: Traffic, watch: Watch | None, seconds: float, limit: int) -> None:
    """Show the progress until the load ends or the limit of requests is reached."""
    bar: Any = click.progressbar(
        length=int(seconds), show_eta=True, item_show_func=lambda item: str(item or "")
    )
    with bar:
        while traffic.now < seconds:
            time.sleep(1)
            bar.update(int(traffic.now) - bar.pos, status(traffic, watch))
            if traffic.running and traffic.outcomes().total() >= limit:
                click.echo(f"\nstopped after {limit} requests", err=True)
                traffic.stop()
                break


def report(traffic: Traffic, found: delays.Delays | None) -> str:
    """Return the figures of a finished load test."""
    outcomes = traffic.outcomes()
    wrong = {name: count for name, count in outcomes.items() if name != "ok"}
    lines = [f"{outcomes.total()} requests, {outcomes['ok']} answered, errors: {wrong or 'none'}"]
    return "\n".join([*lines, str(found)] if found else lines)


@click.command()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The service.")
@click.option("--host", default="", help="Host header, for an ingress on another address.")
@click.option("--token", envvar="GPSERVE_TOKEN", default="", help="Key of a closed service.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the first answer.",
)
@click.option("--shape", type=click.Choice(["steps", "ramp", "day"]), default="steps")
@click.option(
    "--rates", default="", callback=numbers, help="Rates of the steps, e.g. 50,500,50 (requests/s)."
)
@click.option("--low", type=click.FloatRange(0), default=50.0, show_default=True, help="requests/s")
@click.option("--high", type=click.FloatRange(1), default=500.0, show_default=True)
@click.option("--seconds", type=click.FloatRange(5, 7200), default=180.0, show_default=True)
@click.option(
    "--after", type=click.FloatRange(0, 3600), default=0.0, help="Seconds to keep watching."
)
@click.option("--points", type=click.IntRange(1, 100_000), default=1, help="Points per request.")
@click.option("--rate-per-user", type=click.FloatRange(0.01), default=10.0, show_default=True)
@click.option("--processes", type=click.IntRange(1, 32), default=1, help="Locust processes.")
@click.option("--max-requests", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--namespace", default="", help="Watch the cluster of KUBECONFIG, in this namespace.")
@click.option("--deployment", default="gpserve", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/loadtest"))
def main(
    url: str, host: str, token: str, wait: float, shape: str, rates: list[float], low: float,
    high: float, seconds: float, after: float, points: int, rate_per_user: float, processes: int,
    max_requests: int, namespace: str, deployment: str, out: Path,
) -> None:  # fmt: skip
    """Send predictions to a service as fast as a shape says; write OUT.csv and OUT.png."""
    load = shape_of(shape, low, high, seconds, rates)
    watch = watched(namespace, deployment)
    options = {"points": points, "rate_per_user": rate_per_user, "processes": processes}
    target = Target(url, host, token)
    try:
        target.wait(wait, lambda text: click.echo(text, err=True))
        traffic = Traffic(load, target, **options)  # type: ignore[arg-type]
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{url} does not answer /model: {error}") from error
    with traffic:
        if watch:
            watch.begin(traffic.started)
        follow(traffic, watch, load.seconds + after, max_requests)
    finish(load, traffic, watch, out, f"{shape}: {url} {host}")


def finish(load: Shape, traffic: Traffic, watch: Watch | None, out: Path, title: str) -> None:
    """Write the table and the plot, and print the figures."""
    if watch:
        watch.stop()
    rows = timeline.rows(load, traffic.seconds, watch.samples if watch else [])
    found = delays.measure(load, rows, watch.pods.values()) if watch else None
    out.parent.mkdir(parents=True, exist_ok=True)
    table, picture = Path(f"{out}.csv"), Path(f"{out}.png")
    timeline.write_csv(table, rows)
    plot.draw(picture, rows, found, title)
    click.echo(f"{report(traffic, found)}\nwrote {table} and {picture}")


if __name__ == "__main__":
    main()
