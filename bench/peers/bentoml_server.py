"""The same prediction behind BentoML: `bentoml serve bench.peers.bentoml_server:Surrogate`."""

import os
from pathlib import Path

import bentoml
import numpy as np

from service.gpr import GPR


@bentoml.service(logging={"access": {"enabled": False}})
class Surrogate:
    """Four inputs to a mean and a variance."""

    def __init__(self) -> None:
        self._gpr = GPR.load(Path(os.environ["BENCH_MODEL"]))

    # On the event loop: BentoML would send a plain function to a thread, which is slower.
    @bentoml.api  # type: ignore[untyped-decorator]
    async def predict(self, x1: float, x2: float, x3: float, x4: float) -> dict[str, float]:
        """Predict mean and variance."""
        mean, variance = self._gpr.predict(np.array([[x1, x2, x3, x4]]))[0].tolist()
        return {"mean": mean, "variance": variance}
