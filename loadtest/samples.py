"""Samples of the state of a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Sample:
    """The state of the cluster at one time.

    Attributes
    ----------
    time : seconds since the load test's start
    desired, ready : replicas
    pods : number of pods by state: Pending, Starting, Ready, Terminating
    metrics : (current value, target) of every metric of the HPA, by its name
    """

    time: float
    desired: int = 0
    ready: int = 0
    pods: Counter[str] = field(default_factory=Counter)
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass
class Pod:
    """When a pod was created and became ready, in seconds since the load test's start."""

    name: str
    created: float
    ready: float | None = None
