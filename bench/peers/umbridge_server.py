"""The same prediction behind UM-Bridge's server: `python -m bench.peers.umbridge_server PORT`."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import umbridge

from service.gpr import GPR


class Surrogate(umbridge.Model):  # type: ignore[misc]
    """Four inputs to a mean and a variance."""

    def __init__(self) -> None:
        super().__init__("gp")
        self._gpr = GPR.load(Path(os.environ["BENCH_MODEL"]))

    def get_input_sizes(self, config: dict[str, Any]) -> list[int]:
        """Return the size of the one vector of inputs."""
        return [self._gpr.input_dim]

    def get_output_sizes(self, config: dict[str, Any]) -> list[int]:
        """Return the size of the one output: mean and variance."""
        return [2]

    def __call__(self, parameters: list[list[float]], config: dict[str, Any]) -> list[list[float]]:
        """Predict mean and variance."""
        output: list[list[float]] = self._gpr.predict(np.array(parameters)).tolist()
        return output

    def supports_evaluate(self) -> bool:
        """Return True: evaluation is all that is supported."""
        return True


if __name__ == "__main__":
    umbridge.serve_models([Surrogate()], int(sys.argv[1]))
